//! A host of its own made of namespaces: mounts, network, processes, name. It sees the machine's programs; what it writes to
//! /etc, /var, /root, /tmp and /usr/lib/systemd is in memory and gone with it, and so is every process in it.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use super::process::{Process, children};
use super::report::Report;
use super::{K8SDOCTOR, missing, skip};

#[derive(Debug, Clone)]
pub struct Options {
    /// Its host name.
    pub name: &'static str,
    /// Addresses with prefix of eth0.
    pub addresses: &'static [&'static str],
    /// The gateway of the default route, in eth0's network.
    pub gateway: Option<&'static str>,
    /// Whether the machine's control groups are mounted at /sys/fs/cgroup.
    pub cgroups: bool,
    /// Whether its first process is called as systemd's is, and an hour has passed since it booted: what is enabled there
    /// and does not run is missed, what does not answer is late.
    pub booted: bool,
    /// Programs without which the test is skipped.
    pub needs: &'static [&'static str],
}

impl Default for Options {
    fn default() -> Options {
        Options {
            name: "m1",
            addresses: &["10.0.0.11/24"],
            gateway: Some("10.0.0.1"),
            cgroups: true,
            booted: false,
            needs: &[],
        }
    }
}

pub struct Sandbox {
    /// `unshare`, which takes the first process of the sandbox with it when it dies.
    unshare: Child,
    /// The sandbox' first process, as the machine counts.
    pid: u32,
    /// Where the sandbox has its memory mounted; empty for everybody else.
    _mount_point: tempfile::TempDir,
}

/// Units and settings of packages that the machine has installed are no part of the host that a test makes.
const SET_UP: &str = r#"
set -e
mount -t tmpfs tmpfs "$BASE"
mkdir "$BASE/cgroup"
if [ -d /sys/fs/cgroup ]; then mount --rbind /sys/fs/cgroup "$BASE/cgroup"; fi
umount -R /sys
mount -t sysfs sysfs /sys
if [ "$CGROUPS" = yes ]; then mount --rbind "$BASE/cgroup" /sys/fs/cgroup; fi
if mountpoint -q "$BASE/cgroup"; then umount -R "$BASE/cgroup"; fi
for folder in /etc /var /root /usr/lib/systemd /tmp; do
  name=$(echo "$folder" | tr / _)
  mkdir "$BASE/$name.upper" "$BASE/$name.work"
  mount -t overlay overlay -o "lowerdir=$folder,upperdir=$BASE/$name.upper,workdir=$BASE/$name.work" "$folder"
done
mount -t tmpfs tmpfs /run
mkdir -p /run/lock /run/shims /var/log
rm -rf /etc/kubernetes /etc/docker /etc/containerd /etc/crio /etc/etcd* /etc/haproxy /etc/keepalived /etc/nginx /etc/cni \
  /etc/default/etcd /etc/default/docker /etc/default/haproxy /root/.kube /var/lib/kubelet /var/lib/etcd /var/log/*
for unit in etcd docker containerd kubelet haproxy keepalived nginx crio; do
  rm -rf /etc/systemd/system/$unit* /usr/lib/systemd/system/$unit* /etc/systemd/system/*.wants/$unit*
done
cat > /run/shims/systemctl <<'SHIM'
#!/bin/sh
echo "$*" >> /run/shims/systemctl.log
SHIM
chmod 755 /run/shims/systemctl
hostname "$NAME"
echo "$NAME" > /etc/hostname
printf '127.0.0.1 localhost\n::1 localhost ip6-localhost\n%s %s\n' "${ADDRESSES%%/*}" "$NAME" > /etc/hosts
: > /etc/resolv.conf
ip link set lo up
ip link add eth0 type veth peer name gateway0
for address in $ADDRESSES; do ip address add "$address" dev eth0; done
ip link set eth0 up
ip link set gateway0 up
if [ -n "$GATEWAY" ]; then ip route add default via "$GATEWAY" dev eth0; fi
if [ "$BOOTED" = yes ]; then
  awk '{ print $1 + 3600, $2 }' /proc/uptime > /run/uptime
  mount --bind /run/uptime /proc/uptime
  sleep infinity &
  sleep infinity &
  echo ready
  exec bash -c 'exec -a /sbin/init sleep infinity'
fi
echo ready
exec sleep infinity
"#;

impl Sandbox {
    /// None when the machine does not allow it, which is said.
    pub fn start(options: Options) -> Option<Sandbox> {
        match Sandbox::try_start(&options) {
            Ok(sandbox) => Some(sandbox),
            Err(why) => {
                skip(&why);
                None
            }
        }
    }

    fn try_start(options: &Options) -> Result<Sandbox, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("needs root".to_owned());
        }
        let tools = ["unshare", "nsenter", "setpriv", "ip", "mount", "sh"];
        if let Some(program) = missing(&tools).or_else(|| missing(options.needs)) {
            return Err(format!("{program} is not installed"));
        }
        let mount_point = tempfile::tempdir().map_err(|error| format!("no temporary folder: {error}"))?;
        let mut unshare = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "unshare", "--mount", "--net", "--uts", "--ipc", "--pid", "--fork"])
            .args(["--mount-proc", "--kill-child=SIGKILL", "sh", "-c", SET_UP])
            .env("BASE", mount_point.path())
            .env("CGROUPS", if options.cgroups { "yes" } else { "no" })
            .env("BOOTED", if options.booted { "yes" } else { "no" })
            .env("NAME", options.name)
            .env("ADDRESSES", options.addresses.join(" "))
            .env("GATEWAY", options.gateway.unwrap_or_default())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("unshare: {error}"))?;
        let mut line = String::new();
        if let Some(stdout) = unshare.stdout.take() {
            let _ = BufReader::new(stdout).read_line(&mut line);
        }
        let pid = children(unshare.id()).first().copied();
        match pid {
            Some(pid) if line == "ready\n" => Ok(Sandbox { unshare, pid, _mount_point: mount_point }),
            _ => {
                let _ = unshare.kill();
                let said = unshare.wait_with_output().map(|output| output.stderr).unwrap_or_default();
                Err(format!("no namespaces here: {}", String::from_utf8_lossy(&said).trim().replace('\n', "; ")))
            }
        }
    }

    /// Lets a unit start at boot.
    #[track_caller]
    pub fn enable(&self, unit: &str) {
        let wants = "/etc/systemd/system/multi-user.target.wants";
        self.sh(&format!("mkdir -p {wants}; ln -sf {unit} {wants}/"));
    }

    /// Takes a program of /usr/sbin away.
    #[track_caller]
    pub fn hide(&self, program: &str) {
        self.sh(&format!(
            "mkdir -p /run/hidden /run/hidden.work && mount -t overlay overlay -o \
             lowerdir=/usr/sbin,upperdir=/run/hidden,workdir=/run/hidden.work /usr/sbin && rm /usr/sbin/{program}"
        ));
    }

    /// Brings back what was hidden.
    #[track_caller]
    pub fn show(&self) {
        self.sh("umount -l /usr/sbin");
    }

    /// A path of the sandbox as the test can open it.
    pub fn path(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.pid))
    }

    #[track_caller]
    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let outside = self.path(path);
        if let Some(folder) = outside.parent() {
            std::fs::create_dir_all(folder).unwrap_or_else(|error| panic!("{path}: {error}"));
        }
        std::fs::write(&outside, text).unwrap_or_else(|error| panic!("{path}: {error}"));
    }

    /// A file's text; empty when there is none.
    pub fn read(&self, path: &str) -> String {
        String::from_utf8_lossy(&std::fs::read(self.path(path)).unwrap_or_default()).into_owned()
    }

    /// A program that will run in the sandbox.
    pub fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["--target", &self.pid.to_string(), "--mount", "--net", "--uts", "--ipc", "--pid"])
            .arg("--wd=/root")
            .arg("--")
            .arg(program)
            .args(arguments)
            .env_clear()
            .env("PATH", "/run/shims:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", "/root")
            .env("LANG", "C.UTF-8")
            .stdin(Stdio::null());
        command
    }

    pub fn output(&self, script: &str) -> Output {
        self.command("sh", &["-c", script]).output().unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// Runs a script, which has to succeed, and gives what it said.
    #[track_caller]
    pub fn sh(&self, script: &str) -> String {
        let output = self.output(script);
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{script}\n{}\n{said}", output.status);
        said
    }

    /// Starts a shell command line that goes on; what it says is appended to `log`.
    pub fn spawn(&self, command_line: &str, log: &str) -> Process {
        let script = format!("exec >>{log} 2>&1; exec {command_line}");
        Process::start(self.command("sh", &["-c", &script]), command_line)
    }

    /// Starts what a unit says, as far as the units of these tests go: one each of
    /// Environment, EnvironmentFile and ExecStart, with continued lines.
    pub fn start_unit(&self, path: &str, log: &str) -> Process {
        let unit = self.read(path).replace("\\\n", " ");
        let setting = |name: &str| {
            let found = unit.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('=')).next_back();
            found.map(str::to_owned)
        };
        let program = setting("ExecStart").unwrap_or_else(|| panic!("{path}: no ExecStart:\n{unit}"));
        let variable = setting("Environment").map(|variable| format!("export {variable}; ")).unwrap_or_default();
        let file = setting("EnvironmentFile").map(|file| file.trim_start_matches('-').to_owned());
        let variables = file.map(|file| format!("set -a; . {file}; set +a; ")).unwrap_or_default();
        let script = format!("exec >>{log} 2>&1; {variable}{variables}exec {program}");
        Process::start(self.command("sh", &["-c", &script]), path)
    }

    /// `k8sdoctor check` of the sandbox as the live host.
    #[track_caller]
    pub fn check(&self, arguments: &[&str]) -> Report {
        let mut all = vec!["check", "--format", "json"];
        all.extend(arguments);
        let output = self.command(K8SDOCTOR, &all).output().unwrap_or_else(|error| panic!("{K8SDOCTOR}: {error}"));
        let human = || {
            let mut all = vec!["check"];
            all.extend(arguments);
            let output = self.command(K8SDOCTOR, &all).output();
            output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
        };
        let report = Report::new(output, human());
        self.bundles_say_the_same(arguments, &report);
        report
    }

    /// `k8sdoctor check` of bundles of several hosts together.
    #[track_caller]
    pub fn check_together(hosts: &[&Sandbox], arguments: &[&str]) -> Report {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("no folder: {error}"));
        let bundle = "/run/shims/host.tar.zst";
        let bundles: Vec<PathBuf> = hosts
            .iter()
            .enumerate()
            .map(|(number, host)| {
                let collect = host.command(K8SDOCTOR, &["collect", "-o", bundle]).output();
                let output = collect.unwrap_or_else(|error| panic!("{K8SDOCTOR}: {error}"));
                assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
                let copy = folder.path().join(format!("{number}.tar.zst"));
                std::fs::copy(host.path(bundle), &copy).unwrap_or_else(|error| panic!("{bundle}: {error}"));
                copy
            })
            .collect();
        let run = |format: &str| {
            let mut command = Command::new(K8SDOCTOR);
            command.args(["check", "--format", format]).args(arguments).args(&bundles);
            command.output().unwrap_or_else(|error| panic!("{K8SDOCTOR}: {error}"))
        };
        let human = String::from_utf8_lossy(&run("human").stdout).into_owned();
        Report::new(run("json"), human)
    }

    /// How long `k8sdoctor check` takes of the sandbox as the live host.
    pub fn check_takes(&self, arguments: &[&str]) -> std::time::Duration {
        let begun = std::time::Instant::now();
        let output = self.command(K8SDOCTOR, &[&["check"], arguments].concat()).output();
        assert!(output.is_ok(), "{K8SDOCTOR}: {output:?}");
        begun.elapsed()
    }

    /// That a bundle of the host, with its secrets and without, is judged as the host itself is.
    #[track_caller]
    fn bundles_say_the_same(&self, arguments: &[&str], live: &Report) {
        let run = |arguments: &[&str]| {
            self.command(K8SDOCTOR, arguments).output().unwrap_or_else(|error| panic!("{K8SDOCTOR}: {error}"))
        };
        let check = |source: &[&str]| {
            let all = [&["check", "--format", "json"], arguments, source].concat();
            Report::new(run(&all), String::new()).verdict()
        };
        let timeout = arguments.iter().position(|argument| *argument == "--timeout");
        let timeout = timeout.and_then(|at| arguments.get(at + 1)).copied().unwrap_or("5s");
        let bundle = "/run/shims/host.tar.zst";
        for more in [&["--no-redact"][..], &[]] {
            let mut before = live.verdict();
            // Programs of the host go on meanwhile: what holds before and after holds of the bundle.
            for turn in 0.. {
                let collected = run(&[&["collect", "-o", bundle, "--probe-timeout", timeout], more].concat());
                let said = String::from_utf8_lossy(&collected.stderr).into_owned();
                assert_eq!(collected.status.code(), Some(0), "{said}");
                let found = check(&[bundle]);
                let after = check(&[]);
                if found == before || found == after {
                    break;
                }
                assert!(before != after && turn < 3, "{more:?}\nlive: {after:#?}\nbundle: {found:#?}");
                before = after;
            }
        }
    }

    /// Runs a fix' commands exactly as they are printed.
    #[track_caller]
    pub fn apply(&self, commands: &[String]) {
        assert!(!commands.is_empty(), "the fix has no commands");
        for command in commands {
            self.sh(command);
        }
    }

    /// What was asked of systemctl, which is not there: one call a line.
    pub fn systemctl_calls(&self) -> String {
        self.read("/run/shims/systemctl.log")
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // The kernel kills every process of a process namespace whose first one dies.
        let _ = self.unshare.kill();
        let _ = self.unshare.wait();
    }
}
