use super::*;

/// Every scalar as `path=value@line:column=text`, where text is what the span covers.
fn scalars(text: &str) -> Vec<String> {
    let (documents, problems) = documents(text);
    assert_eq!(problems, [], "{text:?}");
    documents
        .iter()
        .flat_map(flatten)
        .map(|(path, (value, span))| {
            assert_eq!(span, Span::of(text, span.start, span.end), "{path} of {text:?}");
            format!("{path}={value:?}@{}:{}={:?}", span.line, span.column, &text[span.start..span.end])
        })
        .collect()
}

#[test]
fn spans_cover_the_value_alone() {
    let table: &[(&str, &[&str])] = &[
        ("a: b\n", &[r#"a="b"@1:4="b""#]),
        ("a: b   # note\n", &[r#"a="b"@1:4="b""#]),
        ("é: 'ü'\nb: \"x\\ty\"\n", &[r#"b="x\ty"@2:5="x\\ty""#, r#"é="ü"@1:5="ü""#]),
        ("# ключ\r\na: b\r\nc:\r\n  - 'd'\r\n", &[r#"a="b"@2:4="b""#, r#"c.0="d"@4:6="d""#]),
        ("\u{feff}a: b\n", &[r#"a="b"@1:5="b""#]),
        ("a: &x v\nb: *x\n", &[r#"a="v"@1:7="v""#, r#"b="v"@1:7="v""#]),
        ("a: !!str 5\nb: !t &y 'z'\n", &[r#"a="5"@1:10="5""#, r#"b="z"@2:11="z""#]),
        ("a: |\n  &x !y\n  two\n\nb: c\n", &[r#"a="&x !y\ntwo\n"@2:3="&x !y\n  two""#, r#"b="c"@5:4="c""#]),
        ("a: &x |\n  one\n", &[r#"a="one\n"@2:3="one""#]),
        ("a: >-\n  one\n  two\n", &[r#"a="one two"@2:3="one\n  two""#]),
        ("a: one\n  two\nb: c", &[r#"a="one two"@1:4="one\n  two""#, r#"b="c"@3:4="c""#]),
        ("{\n\t\"a\" : {\"b\": [1, \"\"]}\n}", &[r#"a.b.0="1"@2:15="1""#, r#"a.b.1=""@2:19="""#]),
        ("a: ''\n", &[r#"a=""@1:5="""#]),
        ("a:\nb: ~\nc: null\nd: 'null'\n", &[r#"d="null"@4:5="null""#]),
        ("a: b\n---\nc: d\n...\n", &[r#"a="b"@1:4="b""#, r#"c="d"@3:4="d""#]),
        (
            "d: &d {x: 1, y: 2}\ne:\n  <<: *d\n  y: 3\n",
            &[r#"d.x="1"@1:11="1""#, r#"d.y="2"@1:17="2""#, r#"e.x="1"@1:11="1""#, r#"e.y="3"@4:6="3""#],
        ),
    ];
    for (text, expected) in table {
        assert_eq!(scalars(text), *expected, "{text:?}");
    }
}

#[test]
fn spans_of_collections_end_with_their_last_character() {
    let text = "a:\n- b\n- c: [d, e]\n\nf: {g: h}\n";
    let (documents, _) = documents(text);
    let covered = |path: &str| documents[0].path(path).map(|node| &text[node.span.start..node.span.end]);
    assert_eq!(covered("a"), Some("b\n- c: [d, e]"));
    assert_eq!(covered("a.1.c"), Some("[d, e]"));
    assert_eq!(covered("f"), Some("{g: h}"));
    assert_eq!(covered("a.2"), None);
    assert_eq!(covered("f.g.x"), None);
}

#[test]
fn a_broken_document_says_where_and_keeps_what_was_before() {
    // (text, line and column of the fault, what was read)
    let table: &[(&str, (u32, u32), &[&str])] = &[
        ("a: b\nc: [d\n", (3, 1), &["a", "c.0"]),
        ("a: b\n c: d\n", (2, 3), &[]),
        ("a: b\nc:\n\td: e\n", (3, 2), &["a"]),
        ("a: b\nc: *none\n", (2, 4), &["a"]),
        ("ключ: b\nc: @d\n", (2, 4), &["ключ"]),
        ("a: b\nplain\nc: d\n", (3, 1), &["a"]),
    ];
    for (text, place, expected) in table {
        let (documents, problems) = parse(text);
        assert_eq!(documents.len(), 1, "{text:?}");
        assert_eq!(problems.len(), 1, "{text:?}: {problems:?}");
        assert_eq!(documents[0].broken.as_ref(), problems.first(), "{text:?}");
        let span = problems[0].span.unwrap_or(Span { start: 0, end: 0, line: 0, column: 0 });
        assert_eq!((span.line, span.column), *place, "{text:?}: {problems:?}");
        let read = flatten(&documents[0].root);
        for path in *expected {
            assert!(read.contains_key(*path), "{path} of {text:?}: {read:?}");
        }
    }
}

#[test]
fn reading_goes_on_with_the_next_document() {
    let (documents, problems) = parse("a: [b\n---\nc: d\n---\ne: @\n---\nf: é\n");
    let broken: Vec<bool> = documents.iter().map(|document| document.broken.is_some()).collect();
    assert_eq!(broken, [true, false, true, false]);
    assert_eq!(problems.len(), 2);
    let last = flatten(&documents[3].root);
    assert_eq!(last["f"].1.line, 7);
    assert_eq!(last["f"].0, "é");
}

#[test]
fn the_last_of_equal_keys_counts() {
    let text = "a: 1\nb: 2\na: 3\n";
    let (documents, problems) = documents(text);
    assert_eq!(documents[0].path("a").and_then(Node::as_str), Some("3"));
    assert_eq!(documents[0].entries().len(), 2);
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].span, Some(Span::of(text, 10, 11)));
    assert!(problems[0].message.contains("first on line 1"), "{}", problems[0].message);
    // It is no fault of syntax.
    assert_eq!(parse(text).0[0].broken, None);
}

#[test]
fn no_document_in_nothing() {
    for text in ["", "\n\n", "# only a note\n"] {
        assert_eq!(parse(text), (Vec::new(), Vec::new()), "{text:?}");
    }
    assert_eq!(parse("---\n---\n").0.len(), 2);
}

#[test]
fn hostile_texts_cost_little() {
    let mut aliases = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned();
    for level in 1..12 {
        let below = format!("*a{}", level - 1);
        aliases += &format!("a{level}: &a{level} [{}]\n", vec![below; 9].join(","));
    }
    let long = format!("a: &a \"{}\"\nb: [{}*a]\n", "x".repeat(1 << 20), "*a,".repeat(10_000));
    // Each level is not deep by itself; filled in it is.
    let mut tower = format!("a0: &a0 {}x{}\n", "[".repeat(40), "]".repeat(40));
    for level in 1..20 {
        tower += &format!("a{level}: &a{level} {}*a{}{}\n", "[".repeat(40), level - 1, "]".repeat(40));
    }
    let table = [
        (aliases, "more than 200000 values"),
        (long, "bytes of them"),
        ("[".repeat(100_000), "recursion limit"),
        (tower, "nested more than 64 deep"),
        ("[".repeat(200), "nested more than 64 deep"),
        ("- ".repeat(100_000), "nested more than 64 deep"),
        ("a: &a [*a]\n".to_owned(), "an alias without an anchor"),
        ("- x\n".repeat(NODE_LIMIT + 1), "more than 200000 values"),
        ("x".repeat(TEXT_LIMIT + 1), "more than the"),
    ];
    for (text, expected) in table {
        let (_, problems) = parse(&text);
        assert!(problems.iter().any(|problem| problem.message.contains(expected)), "{expected}: {problems:?}");
    }
    // One line of many values: columns are not counted from the line's beginning each time.
    let line = format!("[{}1]", "\"é\",".repeat(NODE_LIMIT - 10));
    let (documents, problems) = parse(&line);
    assert_eq!(problems, []);
    assert_eq!(documents[0].root.items().len(), NODE_LIMIT - 9);
    let last = documents[0].root.items().last().map(|node| node.span);
    assert_eq!(last, Some(Span::of(&line, line.len() - 2, line.len() - 1)));
}

#[test]
fn types_are_those_of_yaml_1_1() {
    let table = [
        ("--v=4", "string"),
        ("4", "number"),
        ("-1.5e3", "number"),
        ("0x1F", "number"),
        ("1_000", "number"),
        (".inf", "number"),
        ("1.2.3", "string"),
        ("10.0.0.1", "string"),
        ("on", "bool"),
        ("true", "bool"),
        ("y", "string"),
        ("e", "string"),
        (".", "string"),
        ("~", "null"),
        ("'4'", "string"),
        ("[4]", "array"),
        ("{}", "object"),
    ];
    for (value, expected) in table {
        let text = format!("a: {value}\n");
        let (documents, _) = documents(&text);
        assert_eq!(documents[0].path("a").map(Node::type_name), Some(expected), "{value}");
    }
}

/// Pieces of YAML put together in every way that a simple generator finds: nothing panics, spans stay in the text.
#[test]
fn nothing_panics_on_mangled_text() {
    let pieces = [
        "a: ",
        "- ",
        "\n",
        "  ",
        "\r\n",
        "'",
        "\"",
        "[",
        "]",
        "{",
        "}",
        ",",
        "|\n",
        ">-\n",
        "&x ",
        "*x",
        "!!str ",
        "!<",
        "%TAG ! x\n",
        "---\n",
        "...\n",
        "é",
        "\u{feff}",
        "\t",
        "#",
        "? ",
        ": ",
        "<<: ",
        "\\",
        "\u{0}",
        "\u{85}",
        "x",
        "&",
        "!",
        "*",
        "@",
    ];
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..20_000 {
        let mut text = String::new();
        for _ in 0..14 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            text.push_str(pieces[(state >> 33) as usize % pieces.len()]);
        }
        let (documents, problems) = documents(&text);
        let spans = documents.iter().flat_map(flatten).map(|(_, (_, span))| span);
        for span in spans.chain(problems.iter().filter_map(|problem| problem.span)) {
            assert_eq!(span, Span::of(&text, span.start, span.end), "{text:?}");
        }
    }
}
