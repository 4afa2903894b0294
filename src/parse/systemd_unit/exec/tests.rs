use super::*;
use crate::origin::Place;
use crate::parse::env_file;
use crate::parse::systemd_unit;

fn unit() -> UnitName {
    UnitName { name: "etcd@m1.service".to_owned(), host: Some("m1.example".to_owned()) }
}

struct Run {
    commands: Vec<CommandLine>,
    problems: Vec<UnitProblem>,
}

fn run(text: &str, files: &[(&str, &str)]) -> Run {
    let file = systemd_unit::parse(&"/u".into(), text);
    let mut problems = file.problems.clone();
    let mut environment = Environment::default();
    for assignment in &file.assignments {
        if assignment.key == "Environment" {
            environment.assign(assignment, &unit(), &mut problems);
        }
    }
    for (path, text) in files {
        let path: Arc<str> = (*path).into();
        environment.load(&path, &env_file::parse(&path, text));
    }
    let commands = file
        .assignments
        .iter()
        .filter(|assignment| assignment.key == "ExecStart")
        .flat_map(|assignment| commands(assignment, &unit(), &environment, &mut problems))
        .collect();
    Run { commands, problems }
}

fn words(command: &CommandLine) -> Vec<&str> {
    command.words.iter().map(|word| word.value.as_str()).collect()
}

fn underlined<'a>(origin: &Origin, texts: &[(&str, &'a str)]) -> &'a str {
    let text = texts.iter().find(|(path, _)| Some(*path) == origin.path()).unwrap().1;
    let span = origin.span().unwrap();
    &text[span.start..span.end]
}

#[test]
fn words_as_systemd_splits_and_expands_them() {
    let environment = "[Service]\nEnvironment=\"A=one two\" B=3 C=\n";
    let table: &[(&str, &[&str])] = &[
        ("/x --a b", &["/x", "--a", "b"]),
        ("/x \"a b\" 'c d' e\" \"f", &["/x", "a b", "c d", "e f"]),
        ("/x a\\tb \\x41 \\101 \\s|", &["/x", "a\tb", "A", "A", " |"]),
        ("/x \\q", &["/x", "\\q"]),
        ("/x $A", &["/x", "one", "two"]),
        ("/x ${A}", &["/x", "one two"]),
        ("/x --n=${A}", &["/x", "--n=one two"]),
        ("/x --n=$A", &["/x", "--n=$A"]),
        ("/x $$A $${A}", &["/x", "$A", "${A}"]),
        ("/x ${A}${B}$B", &["/x", "one two3$B"]),
        ("/x $C $NONE end", &["/x", "end"]),
        ("/x ${C} ${NONE} end", &["/x", "", "", "end"]),
        ("/x ${A", &["/x", "${A"]),
        ("/x $", &["/x", "$"]),
        ("/x $MAINPID ${HOME}", &["/x", "$MAINPID", "${HOME}"]),
        ("-/x a", &["/x", "a"]),
        ("@/x argv0 a", &["/x", "a"]),
        (":/x $A ${B}", &["/x", "$A", "${B}"]),
        ("+!/x a", &["/x", "a"]),
        (
            "/x %i %n %N %p %% %H %l %z",
            &["/x", "m1", "etcd@m1.service", "etcd@m1", "etcd", "%", "m1.example", "m1", "%z"],
        ),
        ("/x \\; a", &["/x", ";", "a"]),
        ("", &[]),
    ];
    for (exec, wanted) in table {
        let run = run(&format!("{environment}ExecStart={exec}\n"), &[]);
        let found = run.commands.first().map(words).unwrap_or_default();
        assert_eq!(&found, wanted, "{exec}");
        assert_eq!(run.problems, [], "{exec}");
    }
}

#[test]
fn a_lone_semicolon_separates_commands() {
    let run = run("[Service]\nExecStart=/a b ; /c ';' d\n", &[]);
    let found: Vec<Vec<&str>> = run.commands.iter().map(words).collect();
    assert_eq!(found, [vec!["/a", "b"], vec!["/c", ";", "d"]]);
}

#[test]
fn later_definitions_win_and_files_win_over_all() {
    let text = "[Service]\nEnvironment=A=1\nEnvironment=A=2 B=1\nExecStart=/x ${A} ${B} ${C}\n";
    let run = run(text, &[("/e1", "B=2\nC=1\n"), ("/e2", "C=2\n")]);
    assert_eq!(words(&run.commands[0]), ["/x", "2", "2", "2"]);
}

#[test]
fn an_empty_environment_assignment_resets() {
    let run = run("[Service]\nEnvironment=A=1\nEnvironment=\nExecStart=/x ${A}\n", &[]);
    assert_eq!(run.commands[0].undefined.len(), 1);
}

#[test]
fn a_value_leads_to_where_it_is_set() {
    let unit = "[Service]\nExecStart=/usr/bin/etcd --name ${NAME} \\\n  --listen-peer-urls=https://${IP}:2380 \\\n  --x=${IP} $MORE \"--q=a b\" --r=\"c\"\n";
    let env = "NAME=m1\nIP=\"192.0.2.7\"\nMORE=\"--v=2 \\\n--wal-dir=/w\"\n";
    let texts = [("/u", unit), ("/e", env)];
    let run = run(unit, &[("/e", env)]);
    let command = &run.commands[0];
    assert_eq!(
        words(command),
        [
            "/usr/bin/etcd",
            "--name",
            "m1",
            "--listen-peer-urls=https://192.0.2.7:2380",
            "--x=192.0.2.7",
            "--v=2",
            "--wal-dir=/w",
            "--q=a b",
            "--r=c",
        ]
    );
    // (word, where it stands, through what)
    let table: &[(usize, &str, &str, Option<&str>)] = &[
        (0, "/u", "/usr/bin/etcd", None),
        (1, "/u", "--name", None),
        (2, "/e", "m1", Some("${NAME}")),
        (3, "/u", "--listen-peer-urls=https://${IP}:2380", Some("192.0.2.7")),
        (5, "/e", "--v=2", Some("$MORE")),
        (6, "/e", "--wal-dir=/w", Some("$MORE")),
        (7, "/u", "--q=a b", None),
    ];
    for (index, path, text, via) in table {
        let origin = &command.words[*index].origin;
        assert_eq!(origin.path(), Some(*path), "{index}");
        assert_eq!(underlined(origin, &texts), *text);
        assert_eq!(origin.via.as_ref().map(|via| underlined(via, &texts)), *via);
    }
    // Values alone.
    let values: Vec<(&str, &str)> =
        command.values.iter().flatten().map(|origin| (origin.path().unwrap(), underlined(origin, &texts))).collect();
    assert_eq!(
        values,
        [("/u", "https://${IP}:2380"), ("/e", "192.0.2.7"), ("/e", "2"), ("/e", "/w"), ("/u", "a b"), ("/u", "c"),]
    );
    let Place::File { span: Some(span), .. } = &command.words[6].origin.place else { panic!() };
    assert_eq!((span.line, span.column), (4, 1));
}

#[test]
fn undefined_and_empty_variables_are_noted() {
    let unit = "[Service]\nExecStart=/x https://${IP}:1 $ARGS ${EMPTY}\n";
    let env = "EMPTY=\n";
    let run = run(unit, &[("/e", env)]);
    let texts = [("/u", unit), ("/e", env)];
    let found: Vec<(&str, &str, bool, bool)> = run.commands[0]
        .undefined
        .iter()
        .map(|undefined| {
            (
                undefined.name.as_str(),
                underlined(&undefined.origin, &texts),
                undefined.alone,
                undefined.defined_empty.is_some(),
            )
        })
        .collect();
    assert_eq!(
        found,
        [("IP", "${IP}", false, false), ("ARGS", "$ARGS", true, false), ("EMPTY", "${EMPTY}", false, true)]
    );
    assert_eq!(run.commands[0].undefined[2].defined_empty.as_ref().unwrap().to_string(), "/e:1:7");
}

#[test]
fn nothing_is_said_of_variables_that_an_unreadable_file_may_define() {
    let file = systemd_unit::parse(&"/u".into(), "[Service]\nExecStart=/x ${IP} $ARGS\n");
    let environment = Environment { incomplete: true, ..Environment::default() };
    let found = commands(&file.assignments[0], &unit(), &environment, &mut Vec::new());
    assert_eq!(words(&found[0]), ["/x", "${IP}", "$ARGS"]);
    assert_eq!(found[0].undefined, []);
}

#[test]
fn a_shell_behind_exec_start_is_followed() {
    let unit = "[Service]\nEnvironment=ETCD_NAME=m1\nExecStart=/bin/bash -c \"GOMAXPROCS=$(nproc) /usr/bin/etcd --name=\\\"${ETCD_NAME}\\\" --data-dir=/d\"\n";
    let run = run(unit, &[]);
    assert_eq!(run.commands.len(), 2);
    assert_eq!(words(&run.commands[1]), ["/usr/bin/etcd", "--name=m1", "--data-dir=/d"]);
    assert_eq!(underlined(run.commands[1].values[2].as_ref().unwrap(), &[("/u", unit)]), "/d");
}

#[test]
fn words_and_quotes_that_systemd_refuses() {
    use UnitProblemKind::*;
    let table: &[(&str, &[UnitProblemKind])] = &[
        ("[Service]\nExecStart=/x \"a b\n", &[UnclosedQuote]),
        ("[Service]\nEnvironment=A=--x=1 --y=2\n", &[NotAnAssignment]),
        ("[Service]\nEnvironment=\"A=--x=1 --y=2\"\n", &[]),
    ];
    for (text, wanted) in table {
        let found: Vec<UnitProblemKind> = run(text, &[]).problems.iter().map(|problem| problem.kind).collect();
        assert_eq!(&found, wanted, "{text:?}");
    }
}

#[test]
fn hostile_commands_are_survived() {
    for exec in
        ["\\", "\"", "'", "$", "${", "${}", "%", "@", "@ a", ";", "; ;", "-", "\\x", "\\u12", "$$", "@-:+!|", "\"\" a"]
    {
        let _ = run(&format!("[Service]\nExecStart={exec}\n"), &[]);
    }
}
