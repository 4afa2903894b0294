use super::*;

const WHOLE: &str = r#"
fail-on = "error"
fail-on-unknown = true
severity = "warning"
kubernetes-version = "1.33"
virtual-ip = "10.0.0.100"
cards = ["cards"]
outputs = ["sarif=out/results.sarif"]

[rules]
etcd-nospace = "off"
pki = "error"

[thresholds]
certificate-expiry-days = 45
open-files = 65536
control-plane-cpus = 4
control-plane-memory-mib = 8000

[hosts.m1]
roles = ["control-plane", "etcd"]

[[waivers]]
rule = "host-*"
host = "m[12]"
path = "/etc/**"
reason = "lab machines"
owner = "platform"
until = 2026-12-31
"#;

#[test]
fn reads_every_key() {
    let config = parse("k8sdoctor.toml", WHOLE).unwrap();
    assert_eq!(config.fail_on, Some(Placed { value: FailOn::Error, line: 2, column: 11 }));
    assert_eq!(config.rules["pki"].value, RuleSetting::Severity(Severity::Error));
    assert_eq!((config.rules["etcd-nospace"].line, config.rules["etcd-nospace"].value), (11, RuleSetting::Off));
    assert_eq!(config.thresholds.certificate_expiry_days.as_ref().map(|days| days.value), Some(45));
    assert_eq!(config.roles["m1"].value, ["control-plane", "etcd"]);
    let waiver = &config.waivers[0];
    assert_eq!(waiver.until, "2026-12-31".parse().ok());
    assert!(waiver.rule.fits("host-swap-enabled") && !waiver.rule.fits("etcd-nospace"));
    assert!(waiver.path.as_ref().is_some_and(|path| path.fits("/etc/a/b") && !path.fits("/var/a")));
}

#[test]
fn errors_say_where_and_what_was_meant() {
    for (text, place, words) in [
        ("\nfail-om = \"error\"\n", "2:1", "did you mean `fail-on`"),
        ("fail-on = \"eror\"\n", "1:11", "did you mean `error`"),
        ("[threshold]\n", "1:2", "did you mean `thresholds`"),
        ("[thresholds]\n  certificate-expire-days = 3\n", "2:3", "did you mean `certificate-expiry-days`"),
        ("[hosts.m1]\nroles = [\"master\"]\n", "2:10", "known are control-plane"),
        ("[rules]\netcd-nospace = \"of\"\n", "2:16", "known are on, off"),
        ("[[waivers]]\nrule = \"x\"\n", "1:1", "missing field `reason`"),
        ("[[waivers]]\nrule = \"x\"\nreason = \" \"\n", "3:10", "needs a reason"),
        ("[[waivers]]\nrule = \"[\"\nreason = \"r\"\n", "2:8", "is no pattern"),
        ("[[waivers]]\nrule = \"x\"\nreason = \"r\"\nuntil = \"soon\"\n", "4:9", "2026-12-31"),
        ("[[waivers]]\nrule = \"x\"\nreason = \"r\"\nowners = \"me\"\n", "4:1", "did you mean `owner`"),
        ("virtual-ip = \"10.0.0\"\n", "1:14", "IP address"),
        ("fail-on = \n", "1:11", ""),
    ] {
        let error = parse("k.toml", text).unwrap_err();
        assert!(error.to_string().starts_with(&format!("k.toml:{place}: ")), "{text}: {error}");
        assert!(error.message.contains(words), "{text}: {error}");
    }
    assert!(parse("k.toml", &format!("{}a = 1\n", "a.".repeat(100_000))).is_err());
}

#[test]
fn names_have_to_be_known() {
    let names = ["etcd", "etcd-nospace"];
    for (text, expected) in [
        ("[rules]\netcd = \"off\"\n", None),
        (
            "[rules]\netcd-nospaces = \"off\"\n",
            Some("2:1: there is no rule or component `etcd-nospaces`; did you mean `etcd-nospace`?"),
        ),
        ("[[waivers]]\nrule = \"etcd-*\"\nreason = \"r\"\n", None),
        ("[[waivers]]\nrule = \"kubelet-*\"\nreason = \"r\"\n", Some("1:1: no rule fits")),
    ] {
        let found = parse("k", text).unwrap().check_names(names.into_iter()).err().map(|error| error.to_string());
        match (found, expected) {
            (None, None) => {}
            (Some(found), Some(expected)) => assert!(found.contains(expected), "{found}"),
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn the_schema_describes_the_file() {
    let schema: serde_json::Value = serde_json::from_str(include_str!("../../docs/schema/config.json")).unwrap();
    assert!(jsonschema::meta::is_valid(&schema));
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let json = |text: &str| -> serde_json::Value {
        // TOML's own dates are written as text in JSON.
        toml::from_str(&text.replace("until = 2026-12-31", "until = \"2026-12-31\"")).unwrap()
    };
    let whole = json(WHOLE);
    let errors: Vec<String> = validator.iter_errors(&whole).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    assert!(validator.is_valid(&json("")));
    for text in [
        "fail-om = \"error\"",
        "fail-on = \"eror\"",
        "[thresholds]\nopen-file = 1",
        "[rules]\netcd = \"of\"",
        "[hosts.m1]\nroles = [\"master\"]",
        "[[waivers]]\nrule = \"x\"",
        "[[waivers]]\nrule = \"x\"\nreason = \"\"",
    ] {
        assert!(!validator.is_valid(&json(text)), "{text}");
        assert!(parse("k", text).is_err(), "{text}");
    }
    // Every key of the schema is in the whole example, so that the two cannot drift apart.
    for (pointer, of) in [("/properties", ""), ("/properties/thresholds/properties", "/thresholds")] {
        for key in schema.pointer(pointer).and_then(|keys| keys.as_object()).unwrap().keys() {
            assert!(whole.pointer(&format!("{of}/{key}")).is_some(), "{key}");
        }
    }
}
