//! As much of DER as keys need: elements of a sequence, and elements put together.

pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(super) const SEQUENCE: u8 = 0x30;
/// `[0]` and `[1]`, explicit.
pub(super) const CONTEXT_0: u8 = 0xa0;
pub(super) const CONTEXT_1: u8 = 0xa1;
/// `[1]`, implicit, of a string type.
pub(super) const CONTEXT_1_STRING: u8 = 0x81;

/// One element.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Element<'a> {
    pub(super) tag: u8,
    pub(super) content: &'a [u8],
    /// Tag, length and content.
    pub(super) raw: &'a [u8],
}

/// The first element and what follows it. Only short tags and lengths of up to four bytes, as in every certificate.
pub(super) fn element(input: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let (&tag, rest) = input.split_first()?;
    let (&first, rest) = rest.split_first()?;
    if tag & 0x1f == 0x1f {
        return None;
    }
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let count = usize::from(first & 0x7f);
        if count == 0 || count > 4 {
            return None;
        }
        let (bytes, rest) = rest.split_at_checked(count)?;
        (bytes.iter().fold(0_usize, |length, byte| length << 8 | usize::from(*byte)), rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    let raw = input.get(..input.len() - rest.len())?;
    Some((Element { tag, content, raw }, rest))
}

/// The content of the one sequence that the input is.
pub(super) fn sequence(input: &[u8]) -> Option<&[u8]> {
    match element(input)? {
        (found, []) if found.tag == SEQUENCE => Some(found.content),
        _ => None,
    }
}

/// The next element, which has to have this tag; the input moves past it.
pub(super) fn take<'a>(input: &mut &'a [u8], tag: u8) -> Option<Element<'a>> {
    let (found, rest) = element(input)?;
    (found.tag == tag).then(|| {
        *input = rest;
        found
    })
}

/// An element of this tag with these parts as its content.
pub(super) fn encode(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut out = vec![tag];
    if length < 0x80 {
        out.push(length as u8);
    } else {
        let bytes = length.to_be_bytes();
        let bytes: Vec<u8> = bytes.into_iter().skip_while(|byte| *byte == 0).collect();
        out.push(0x80 | bytes.len() as u8);
        out.extend(bytes);
    }
    for part in parts {
        out.extend_from_slice(part);
    }
    out
}
