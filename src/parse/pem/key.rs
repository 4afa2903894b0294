//! Private keys to the public key that belongs to them. Private numbers stay in the caller's buffer: what leaves here is
//! public data.

use ring::signature::{Ed25519KeyPair, KeyPair};

use super::der::{self, element, encode, sequence, take};
// Content of the object identifiers, without tag and length.
const RSA_ENCRYPTION: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
/// NULL.
const NULL: &[u8] = &[0x05, 0x00];

/// The SubjectPublicKeyInfo (DER) that belongs to a private key, or why there is none.
pub(super) type PublicHalf = Result<Vec<u8>, String>;

/// PKCS#1: `RSA PRIVATE KEY`.
pub(super) fn pkcs1(key: &[u8]) -> PublicHalf {
    let numbers = || {
        let mut fields = sequence(key)?;
        take(&mut fields, der::INTEGER)?;
        let modulus = take(&mut fields, der::INTEGER)?;
        let exponent = take(&mut fields, der::INTEGER)?;
        // The private exponent has to follow, or it is a public key in the wrong block.
        take(&mut fields, der::INTEGER)?;
        Some(encode(der::SEQUENCE, &[modulus.raw, exponent.raw]))
    };
    numbers().map(|public| rsa_public(&public)).ok_or_else(|| "not an RSA private key (PKCS#1)".to_owned())
}

/// PKCS#1: `RSA PUBLIC KEY`.
pub(super) fn pkcs1_public(key: &[u8]) -> PublicHalf {
    let is_key = || {
        let mut fields = sequence(key)?;
        take(&mut fields, der::INTEGER)?;
        take(&mut fields, der::INTEGER)?;
        fields.is_empty().then_some(())
    };
    is_key().map(|()| rsa_public(key)).ok_or_else(|| "not an RSA public key (PKCS#1)".to_owned())
}

/// `PUBLIC KEY`: a SubjectPublicKeyInfo already.
pub(super) fn spki(key: &[u8]) -> PublicHalf {
    let is_key = || {
        let mut fields = sequence(key)?;
        let mut algorithm = take(&mut fields, der::SEQUENCE)?.content;
        take(&mut algorithm, der::OBJECT_IDENTIFIER)?;
        take(&mut fields, der::BIT_STRING)?;
        fields.is_empty().then_some(())
    };
    is_key().map(|()| key.to_vec()).ok_or_else(|| "not a public key (SubjectPublicKeyInfo)".to_owned())
}

/// SEC 1: `EC PRIVATE KEY`. `curve` is the raw object identifier that PKCS#8 gives outside of the key.
pub(super) fn sec1(key: &[u8], curve: Option<&[u8]>) -> PublicHalf {
    let parts = || {
        let mut fields = sequence(key)?;
        take(&mut fields, der::INTEGER)?;
        take(&mut fields, der::OCTET_STRING)?;
        let own = take(&mut fields, der::CONTEXT_0).map(|parameters| parameters.content);
        let public = take(&mut fields, der::CONTEXT_1).map(|public| public.content);
        Some((own.or(curve), public))
    };
    let (curve, public) = parts().ok_or("not an EC private key (SEC 1)")?;
    let curve = curve.ok_or("the EC key does not name its curve")?;
    let public = public.ok_or("the EC key does not carry its public half")?;
    match element(public) {
        Some((bits, [])) if bits.tag == der::BIT_STRING => {
            let oid = encode(der::OBJECT_IDENTIFIER, &[EC_PUBLIC_KEY]);
            let algorithm = encode(der::SEQUENCE, &[&oid, curve]);
            Ok(encode(der::SEQUENCE, &[&algorithm, bits.raw]))
        }
        _ => Err("the EC key's public half is no bit string".to_owned()),
    }
}

/// PKCS#8: `PRIVATE KEY`.
pub(super) fn pkcs8(key: &[u8]) -> PublicHalf {
    let parts = || {
        let mut fields = sequence(key)?;
        take(&mut fields, der::INTEGER)?;
        let mut algorithm = take(&mut fields, der::SEQUENCE)?.content;
        let oid = take(&mut algorithm, der::OBJECT_IDENTIFIER)?.content;
        let inner = take(&mut fields, der::OCTET_STRING)?.content;
        take(&mut fields, der::CONTEXT_0);
        let public = take(&mut fields, der::CONTEXT_1_STRING).map(|public| public.content);
        Some((oid, algorithm, inner, public))
    };
    let (oid, parameters, inner, public) = parts().ok_or("not a private key (PKCS#8)")?;
    match oid {
        RSA_ENCRYPTION => pkcs1(inner),
        EC_PUBLIC_KEY => sec1(inner, Some(parameters)),
        ED25519 => {
            // The outer `[1]`, when there, is not what a reader uses: Go derives the key from the seed.
            let seed = element(inner).filter(|(seed, rest)| seed.tag == der::OCTET_STRING && rest.is_empty());
            let pair = seed.and_then(|(seed, _)| Ed25519KeyPair::from_seed_unchecked(seed.content).ok());
            let pair = pair.ok_or("not an Ed25519 private key")?;
            Ok(ed25519_public(pair.public_key().as_ref()))
        }
        _ => match public {
            Some(bits) => {
                let algorithm = encode(der::SEQUENCE, &[&encode(der::OBJECT_IDENTIFIER, &[oid]), parameters]);
                Ok(encode(der::SEQUENCE, &[&algorithm, &encode(der::BIT_STRING, &[bits])]))
            }
            None => Err("a private key of an algorithm whose public half is not derived".to_owned()),
        },
    }
}

fn rsa_public(public: &[u8]) -> Vec<u8> {
    let algorithm = encode(der::SEQUENCE, &[&encode(der::OBJECT_IDENTIFIER, &[RSA_ENCRYPTION]), NULL]);
    encode(der::SEQUENCE, &[&algorithm, &bit_string(public)])
}

fn ed25519_public(public: &[u8]) -> Vec<u8> {
    let algorithm = encode(der::SEQUENCE, &[&encode(der::OBJECT_IDENTIFIER, &[ED25519])]);
    encode(der::SEQUENCE, &[&algorithm, &bit_string(public)])
}

/// Whole bytes as a bit string: no unused bits.
fn bit_string(content: &[u8]) -> Vec<u8> {
    encode(der::BIT_STRING, &[&[0], content])
}
