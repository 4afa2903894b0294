use super::*;

fn redact(text: &str, every_line: bool) -> String {
    let mut stream = Stream::new("/var/log/messages", Policy::default());
    stream.every_line = every_line;
    let mut out = Vec::new();
    // In pieces, as a log comes.
    text.as_bytes().chunks(4096).for_each(|piece| stream.push(piece, &mut out));
    stream.finish(&mut out);
    String::from_utf8(out).unwrap()
}

/// A line that has a secret, in as many forms as there are marks for.
const SECRETS: &[&str] = &[
    "joining with --token abcdef.4t8sm2k9x7c1v5b3 now",
    "using abcdef.4t8sm2k9x7c1v5b3",
    "DB_PASSWORD=hunter2222",
    "db_PassWord: hunter2222",
    "{\"user\":\"x\",\"token\":\"hunter2222\"}",
    "{\"log\":\"{\\\"password\\\":\\\"hunter2222\\\"}\\n\"}",
    "{\"name\":\"DB_PASSWORD\",\"value\":\"hunter2222\"}",
    "{\"key\": \"my-secret\", \"value\": \"hunter2222\"}",
    "{\"label\":\"api_key\",\"value\":\"hunter2222\"}",
    "{\"data\":{\"a\":\"aHVudGVy\"},\"kind\":\"Secret\"}",
    "{\"kind\": \"SecretList\", \"data\": {\"a\": \"aHVudGVy\"}}",
    "{\"kind\":\"Secret\",\"stringData\":{\"a\":\"b\"}}",
    "[\"etcdctl\",\"--password\",\"hunter2222\",\"get\"]",
    "http://bob:hunter2222@proxy.example:3128",
    "https://hunter2222hunter2222hunter@registry.example/v2/",
    "postgres://bob:a/hunter2222@db/app",
    "Authorization: Bearer hunter2222hunter2222",
    "with bearer\thunter2222hunter",
    "BASIC YWRtaW46aHVudGVy",
    "got eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJr.c2lnbmF0dXJl_x-y",
    "key id AKIAIOSFODNN7EXAMPLE was used",
    "cloning with ghp_1234567890abcdefghijABCDEFGHIJ123456",
    "maps?key=AIzaSyA-1234567890abcdefghijklmnopqrstu",
    "glpat-1234567890abcdefghij",
    "xoxb-1234567890-abcdefghij",
    "https://hooks.slack.com/services/T000/B000/abcdefghijklmnop",
    "hvs.CAESIJlWh8abcdefghijklmnop",
    "node K10f86d081884c7d659a2feaa0c55ad015::server:a1b2c3d4e5",
    "key = AQBSdXtbAAAAABAAkq3kMy2rUDXzK6ZTYLSAMA==",
    "key = aqd AQDSdXtbAAAAABAAkq3kMy2rUDXzK6ZTYLSAMA==",
    "bob:$apr1$a1b2c3d4$abcdefghijklmnopqrstuv",
    "root:$6$a1b2c3d4$abcdefghijklmnopqrstuvwxyz0123456789:1",
    "-u admin:hunter2222 https://x",
    "curl -u admin:hunter2222 https://x",
    "curl --user admin:hunter2222 x",
    "curl \"--proxy-user\", \"admin:hunter2222\" x",
    "[\"-u\", \"admin:hunter2222\"]",
    "sshpass -p hunter2222 ssh m1",
    "mysqldump -h db -phunter2222 x",
    "htpasswd -b -c file bob hunter2222",
    "bot 123456789:AAabcdefghijklmnopqrstuvwxyz0123456",
    "auth_pass hunter2222",
    "kubectl login --password hunter2222",
    "kubelet --bootstrap-token",
    "hunter2222hunter",
    "- --token",
    "- hunter2222hunter",
    "  password: |",
    "    hunter2222",
    "  done: yes",
    "- name: DB_PASSWORD",
    "  value: hunter2222",
    "data:",
    "  token: aHVudGVy",
    "kind: Secret",
    "-----BEGIN RSA PRIVATE KEY-----",
    "MIIEowIBAAKCAQEAxyz0123456789abcdefgh",
    "-----END RSA PRIVATE KEY-----",
    "ca LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRVktLS0tLQpNSUlFb3dJQkFBS0NBUUVBCi0tLS0tRU5EIFJTQSBQUklWQVRFIEtFWS0tLS0tCg==",
    "enc cGFzc3dvcmQ6IGh1bnRlcjIyMjIK",
    "token,user,uid\nhunter2222,bob,17",
    "hunter2222hunter1,admin,10,\"system:masters\"",
];

/// Lines as components write them, which speak of much and tell nothing.
const ORDINARY: &[&str] = &[
    "I0127 03:10:20.581730 12904 operation_generator.go:657] MountVolume.SetUp succeeded for volume \"default-token-abcde\" (UniqueName: \"kubernetes.io/secret/0b-default-token-abcde\") pod \"coredns\"",
    "E0127 03:10:20.581730 12904 reflector.go:138] failed to list *v1.Node: Get \"https://10.0.0.1:6443/api/v1/nodes?limit=500\": dial tcp 10.0.0.1:6443: connect: connection refused",
    "W0127 authentication.go:63] Unable to authenticate the request due to an error: x509: certificate has expired",
    "I0127 secret.go:183] Setting up volume default-token for pod web-0 at /var/lib/kubelet/pods/x",
    "{\"usage\":{\"any\":false,\"server_auth\":false,\"client_auth\":true},\"self_signed\":false,\"auth\":null}",
    "kind=\"Pod\" apiVersion=\"v1\" type=\"Normal\" reason=\"NodeHasSufficientMemory\" NodeHasNoDiskPressure",
];

#[test]
fn what_is_passed_over_has_no_secret() {
    let plain = ORDINARY.join("\n") + "\n";
    assert_eq!(redact(&plain, true), plain, "nothing of it is secret");
    for prefix in ["", "Jan  1 00:00:00 m1 kubelet[1]: ", "2026-01-01T00:00:00.000000000Z stderr F "] {
        for at in 0..SECRETS.len() {
            // Each alone, with what follows it, and all of them, at any place of a block.
            for count in [1, 2, 3, SECRETS.len()] {
                // A table's rows stand alone: with something before them they are none.
                let fits = |line: &&&str| prefix.is_empty() || !line.contains('\n');
                let lines = SECRETS.iter().filter(fits).cycle().skip(at).take(count);
                let text: String =
                    lines.map(|line| format!("{prefix}{line}\n{}\n", ORDINARY[at % ORDINARY.len()])).collect();
                let text =
                    if count > 1 { text.replace(&format!("{}\n", ORDINARY[at % ORDINARY.len()]), "") } else { text };
                let text = plain.clone() + &text + &plain;
                assert_eq!(redact(&text, false), redact(&text, true), "{prefix}{}, {count}", SECRETS[at]);
            }
        }
    }
    let all = redact(&(SECRETS.join("\n") + "\n"), false);
    assert!(!all.contains("hunter2222"), "{all}");
}
