use super::*;

fn run_with(text: &str, files: &[(&str, &str)]) -> Script {
    let resolve = |path: &str| match files.iter().find(|(known, _)| *known == path) {
        Some((_, "?")) => SourcedFile::Unknown,
        Some((_, text)) => SourcedFile::Text((*text).to_owned()),
        None => SourcedFile::Absent,
    };
    parse(&"/s.sh".into(), text, None, &resolve)
}

fn commands(script: &Script) -> Vec<Vec<&str>> {
    script.commands.iter().map(|command| command.words.iter().map(|word| word.value.as_str()).collect()).collect()
}

fn underlined<'a>(origin: &Origin, text: &'a str) -> &'a str {
    let span = origin.span().unwrap();
    &text[span.start..span.end]
}

#[test]
fn commands_that_run_components() {
    let table: &[(&str, &[&[&str]])] = &[
        ("./bin/etcd --name a\n", &[&["./bin/etcd", "--name", "a"]]),
        ("#!/bin/bash\n# etcd --x\nnohup ../bin/kubelet --v=4 &\n", &[&["../bin/kubelet", "--v=4"]]),
        ("cd /x && exec etcd --a; etcd --b | tee y\n", &[&["etcd", "--a"], &["etcd", "--b"]]),
        ("sudo -u etcd -E /usr/bin/etcd --a\n", &[&["/usr/bin/etcd", "--a"]]),
        ("env A=b etcd --x=$A\n", &[&["etcd", "--x=b"]]),
        ("etcd --a \\\n  --b\n", &[&["etcd", "--a", "--b"]]),
        (
            "H=\"http://m1\"\netcd --u \"$H:1\",\"$H:2\" ${H}x\n",
            &[&["etcd", "--u", "http://m1:1,http://m1:2", "http://m1x"]],
        ),
        ("A='x y'\netcd $A \"$A\"\n", &[&["etcd", "x", "y", "x y"]]),
        ("export A=1 B=$A\netcd --b=$B\n", &[&["etcd", "--b=1"]]),
        ("A=1\nA+=2\netcd $A\n", &[&["etcd", "12"]]),
        ("IP=$(hostname -i)\netcd --u=http://$IP:1\n", &[&["etcd", "--u=http://$IP:1"]]),
        (
            "etcd --u=$(hostname -i | cut -d' ' -f1) `x y`\n",
            &[&["etcd", "--u=$(hostname -i | cut -d' ' -f1)", "`x y`"]],
        ),
        ("etcd --d ${D:-/var/d} ${E%/*}\n", &[&["etcd", "--d", "/var/d", "${E%/*}"]]),
        ("if true; then\n etcd --a\nfi\n", &[&["etcd", "--a"]]),
        ("start() {\n  etcd --a\n}\nfunction f {\n kubelet --b\n}\n", &[&["etcd", "--a"], &["kubelet", "--b"]]),
        ("for i in 1 2; do etcd --n $i; done\n", &[&["etcd", "--n", "$i"]]),
        ("cat > u <<EOF\nExecStart=/x\netcd --no\nEOF\netcd --yes\n", &[&["etcd", "--yes"]]),
        ("cat <<-'E' | sh\n\tetcd --no\n\tE\n", &[]),
        ("echo etcd --a\netcdctl x\ndocker run etcd\n", &[]),
        (
            "docker daemon -H unix:///s\n/opt/docker -d\n",
            &[&["docker", "daemon", "-H", "unix:///s"], &["/opt/docker", "-d"]],
        ),
        ("sh -c \"etcd --a 'b c'\"\n", &[&["etcd", "--a", "b c"]]),
        ("hyperkube kubelet --v=2\n", &[&["hyperkube", "kubelet", "--v=2"]]),
        ("A=(1 2)\netcd \"\" $'x'\n", &[&["etcd", "", "x"]]),
        ("etcd --a\r\netcd --b\r\n", &[&["etcd", "--a"], &["etcd", "--b"]]),
        ("etcd $1 \"$@\"\n", &[&["etcd", "$1", "$@"]]),
    ];
    for (text, wanted) in table {
        let script = run_with(text, &[]);
        assert_eq!(&commands(&script), wanted, "{text:?}");
        assert_eq!(script.problems, [], "{text:?}");
    }
}

#[test]
fn redirections_name_the_output() {
    let table: &[(&str, Option<&str>)] = &[
        ("etcd --a >> ./log/e.log 2>&1\n", Some("./log/e.log")),
        ("etcd --a >/var/log/e 2>/dev/null &\n", Some("/var/log/e")),
        ("etcd --a &> x\n", Some("x")),
        ("etcd --a 2> y\n", Some("y")),
        ("etcd --a < in\n", None),
        ("etcd --a 2>&1 | tee z\n", None),
    ];
    for (text, wanted) in table {
        let script = run_with(text, &[]);
        let output = script.commands[0].output.as_ref();
        assert_eq!(output.map(|output| output.value.as_str()), *wanted, "{text:?}");
        if let (Some(output), Some(wanted)) = (output, wanted) {
            assert_eq!(underlined(&output.origin, text), *wanted);
        }
        assert_eq!(commands(&script), [["etcd", "--a"]]);
    }
}

#[test]
fn words_lead_to_assignments() {
    let text = "C=\"m1=http://a:1,m2=http://b:1\"\nH=\"http://a\"\nF=\"$H/x\"\netcd --initial-cluster $C --u \"$H:2\" --q=\"z\" $F\n";
    let script = run_with(text, &[]);
    let command = &script.commands[0];
    let table: &[(usize, &str, &str, Option<&str>)] = &[
        (2, "m1=http://a:1,m2=http://b:1", "m1=http://a:1,m2=http://b:1", Some("$C")),
        (4, "http://a:2", "\"$H:2\"", Some("http://a")),
        (5, "--q=z", "--q=\"z", None),
    ];
    for (index, value, text_there, via) in table {
        let word = &command.words[*index];
        assert_eq!(word.value, *value);
        assert_eq!(underlined(&word.origin, text), *text_there);
        assert_eq!(word.origin.via.as_ref().map(|via| underlined(via, text)), *via);
    }
    assert_eq!(underlined(command.values[5].as_ref().unwrap(), text), "z");
    assert_eq!(command.words[6].value, "http://a/x");
    assert_eq!(underlined(&script.variables["H"].origin, text), "http://a");
}

#[test]
fn sourced_files_define_variables() {
    let text = "source /run/flannel/subnet.env\n. /etc/etcd.env\ndocker daemon --bip=${FLANNEL_SUBNET} --mtu=$FLANNEL_MTU --x=$NAME\n";
    let subnet = "FLANNEL_SUBNET=10.244.3.1/24\nFLANNEL_MTU=1450\n";
    let script = run_with(text, &[("/run/flannel/subnet.env", subnet), ("/etc/etcd.env", "export NAME=m1\n")]);
    assert_eq!(commands(&script), [["docker", "daemon", "--bip=10.244.3.1/24", "--mtu=1450", "--x=m1"]]);
    let bip = script.commands[0].values[2].as_ref().unwrap();
    assert_eq!(bip.path(), Some("/run/flannel/subnet.env"));
    assert_eq!(underlined(bip, subnet), "10.244.3.1/24");
    assert_eq!(underlined(bip.via.as_ref().unwrap(), text), "${FLANNEL_SUBNET}");
}

#[test]
#[allow(clippy::type_complexity, reason = "the type of a table")]
fn undefined_variables_are_noted_unless_something_unknown_may_set_them() {
    let table: &[(&str, &[(&str, &str)], &[&str])] = &[
        ("etcd --a=$IP\n", &[], &["IP"]),
        ("IP=\netcd --a=$IP\n", &[], &["IP"]),
        ("IP=$(x)\netcd --a=$IP\n", &[], &[]),
        ("source /absent\netcd --a=$IP\n", &[], &["IP"]),
        ("source /denied\netcd --a=$IP\n", &[("/denied", "?")], &[]),
        ("source ./relative\netcd --a=$IP\n", &[], &[]),
        ("etcd --a=$HOSTNAME --b=$HOME\n", &[], &[]),
        ("read IP\netcd --a=$IP\n", &[], &[]),
        ("etcd --a=${IP:-x}\n", &[], &[]),
        ("echo $IP\n", &[], &[]),
    ];
    for (text, files, wanted) in table {
        let script = run_with(text, files);
        let found: Vec<&str> =
            script.commands.iter().flat_map(|c| &c.undefined).map(|undefined| undefined.name.as_str()).collect();
        assert_eq!(&found, wanted, "{text:?}");
    }
    let text = "IP=\netcd --a=http://$IP:1\n";
    let undefined = &run_with(text, &[]).commands[0].undefined[0];
    assert_eq!(underlined(&undefined.origin, text), "$IP");
    assert_eq!(undefined.defined_empty.as_ref().unwrap().to_string(), "/s.sh:1:4");
}

#[test]
fn pasted_characters_and_lost_lines_are_problems() {
    use UnitProblemKind::*;
    let table: &[(&str, &[(UnitProblemKind, &str)])] = &[
        ("rm ../install \u{2013}rf\n", &[(TypographicCharacter, "\u{2013}")]),
        ("etcd \u{2014}name a\n", &[(TypographicCharacter, "\u{2014}")]),
        ("A=\u{201c}b\u{201d}\n", &[(TypographicCharacter, "\u{201c}"), (TypographicCharacter, "\u{201d}")]),
        (
            "A=\"\u{2013}-name a -\u{2013}b\"\n",
            &[(TypographicCharacter, "\u{2013}"), (TypographicCharacter, "\u{2013}")],
        ),
        ("# \u{2013} note\necho a \u{2013} \u{201c}b\u{201d}\n", &[]),
        ("mv a\u{2013}b c\n", &[]),
        ("etcd --a\n  --b=c\n", &[(MissingContinuation, "--b=c")]),
        ("etcd --a 'b\n", &[(UnclosedQuote, "'")]),
        ("[ -f x ] && y\n", &[]),
    ];
    for (text, wanted) in table {
        let script = run_with(text, &[]);
        let found: Vec<(UnitProblemKind, &str)> =
            script.problems.iter().map(|problem| (problem.kind, underlined(&problem.origin, text))).collect();
        assert_eq!(&found, wanted, "{text:?}");
    }
}

#[test]
fn hostile_scripts_end() {
    let doubling = "A=xxxxxxxx\n".to_owned() + &"A=\"$A$A\"\n".repeat(64) + "etcd $A\n";
    assert!(run_with(&doubling, &[]).commands[0].words.iter().all(|word| word.value.len() <= WORD_LIMIT));
    let circle = run_with(". /a\netcd --x\n", &[("/a", ". /b\n"), ("/b", ". /a\n")]);
    assert_eq!(circle.commands.len(), 1);
    let nested = "$(".repeat(10_000);
    for text in
        ["\\", "$", "${", "$(", "`", "<<", "<<E", ">", "&>", "(", ")", "A=(", "'", "\"$", "sh -c 'sh -c x'", &nested]
    {
        let _ = run_with(text, &[]);
        let _ = run_with(&format!("etcd {text}"), &[]);
    }
}
