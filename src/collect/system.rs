//! Kernel, mounts, memory and what else a host is made of.

mod selinux;

use std::io::Read;
use std::sync::Arc;

use super::{Files, Problems, TextFile, cgroups, processes};
use crate::facts::system::{KernelConfig, Modules, Mount, Swap, System};
use crate::origin::{Fact, Origin, Sourced, Unknown};
use crate::parse::proc_system;
use crate::source::{FileKind, ReadError};

/// Bytes of an unpacked kernel configuration; real ones have about 300 kB.
const CONFIG_LIMIT: u64 = 4 << 20;

/// Takes everything that is a fact of the system itself. Each part that cannot be read says so for itself.
pub fn collect(files: &Files, problems: &Problems) -> System {
    let kernel_release = kernel_release(files);
    let release = kernel_release.as_ref().ok().map(|release| release.value.as_str());
    let mounts = mounts(files, problems);
    System {
        os_release: first_text(files, &["/etc/os-release", "/usr/lib/os-release"])
            .map(|file| proc_system::os_release(&file.text)),
        kernel_config: kernel_config(files, release),
        kernel_arguments: first_text(files, &["/proc/cmdline"]).map(|file| proc_system::kernel_arguments(&file.text)),
        modules: modules(files, release),
        cgroups: cgroups::collect(files, problems, &mounts),
        mounts,
        swaps: swaps(files, problems),
        memory: first_text(files, &["/proc/meminfo"]).and_then(|file| {
            proc_system::memory(&file.text).ok_or_else(|| Unknown::new(&*file.path, "has no line MemTotal"))
        }),
        cpus: cpus(files),
        processes: processes::collect(files, problems),
        machine_id: identity(files, &["/etc/machine-id", "/var/lib/dbus/machine-id"]),
        product_uuid: identity(files, &["/sys/class/dmi/id/product_uuid", "/sys/devices/virtual/dmi/id/product_uuid"]),
        uptime_seconds: uptime_seconds(files),
        selinux: selinux::collect(files),
        kernel_release,
    }
}

/// The first number of /proc/uptime, without its fraction.
fn uptime_seconds(files: &Files) -> Fact<u64> {
    const PATH: &str = "/proc/uptime";
    let line = files.line(PATH).map_err(|error| error.unknown())?;
    let seconds = line.split(['.', ' ']).next().and_then(|seconds| seconds.parse().ok());
    seconds.ok_or_else(|| Unknown::new(PATH, "does not begin with a number"))
}

/// The first of these files that can be read; else why not: one that is there but refused says more than absent ones.
fn first_text(files: &Files, paths: &[&str]) -> Fact<Arc<TextFile>> {
    let mut errors = Vec::new();
    for path in paths {
        match files.text(path) {
            Ok(file) => return Ok(file),
            Err(error) => errors.push(error),
        }
    }
    Err(most_telling(errors).map_or_else(|| Unknown::new("file", "none to be read"), |error| error.unknown()))
}

fn most_telling(errors: Vec<ReadError>) -> Option<ReadError> {
    errors.into_iter().min_by_key(|error| matches!(error, ReadError::NotFound { .. } | ReadError::NotCovered { .. }))
}

fn kernel_release(files: &Files) -> Fact<Sourced<String>> {
    const RELEASE: &str = "/proc/sys/kernel/osrelease";
    const VERSION: &str = "/proc/version";
    if let Ok(file) = files.text(RELEASE)
        && !file.text.trim().is_empty()
    {
        let release = file.text.trim().to_owned();
        let span = file.span(0, release.len());
        return Ok(Sourced::new(release, Origin::file(RELEASE, Some(span))));
    }
    let file = files.text(VERSION).map_err(|error| error.unknown())?;
    proc_system::version_release(&file.text)
        .map(|(release, span)| Sourced::new(release, Origin::file(VERSION, Some(span))))
        .ok_or_else(|| Unknown::new(VERSION, "does not begin with a Linux version"))
}

/// Places where distributions keep a kernel's configuration, `R` being its release.
const CONFIGS: [&str; 10] = [
    "/proc/config.gz",
    "/boot/config-R",
    "/usr/src/linux-R/.config",
    "/usr/src/linux/.config",
    "/usr/lib/modules/R/config",
    "/lib/modules/R/config",
    "/usr/lib/ostree-boot/config-R",
    "/usr/lib/kernel/config-R",
    "/usr/src/linux-headers-R/.config",
    "/lib/modules/R/build/.config",
];

fn kernel_config(files: &Files, release: Option<&str>) -> Fact<KernelConfig> {
    const WHAT: &str = "kernel configuration";
    let mut refused: Option<Unknown> = None;
    for place in CONFIGS {
        let path = match (place.contains('R'), release) {
            (true, Some(release)) if !release.contains('/') => place.replace('R', release),
            (true, _) => continue,
            (false, _) => place.to_owned(),
        };
        let text = match path.ends_with(".gz") {
            true => files
                .bytes(&path)
                .map_err(|error| (error.is_absent(), error.unknown()))
                .and_then(|packed| unpack(&packed).map_err(|why| (false, Unknown::new(path.as_str(), why)))),
            false => {
                files.text(&path).map(|file| file.text.clone()).map_err(|error| (error.is_absent(), error.unknown()))
            }
        };
        match text {
            Ok(text) => {
                let options = proc_system::kernel_config(&text);
                if !options.is_empty() {
                    return Ok(KernelConfig { path, options });
                }
                refused.get_or_insert_with(|| Unknown::new(path, "sets no option"));
            }
            Err((true, _)) => {}
            Err((false, unknown)) => {
                refused.get_or_insert(unknown);
            }
        }
    }
    Err(refused.unwrap_or_else(|| {
        Unknown::new(WHAT, "no file has it").with_remedy("modprobe configs, or install the kernel's config in /boot")
    }))
}

fn unpack(packed: &[u8]) -> Result<String, String> {
    let mut text = Vec::new();
    match flate2::read::MultiGzDecoder::new(packed).take(CONFIG_LIMIT + 1).read_to_end(&mut text) {
        Ok(_) if text.len() as u64 > CONFIG_LIMIT => Err(format!("unpacks to more than {CONFIG_LIMIT} bytes")),
        Ok(_) => Ok(String::from_utf8_lossy(&text).into_owned()),
        Err(error) => Err(format!("cannot be unpacked: {error}")),
    }
}

/// Unknown only when neither /proc/modules nor /sys/module is there.
fn modules(files: &Files, release: Option<&str>) -> Fact<Modules> {
    let loaded = files.text("/proc/modules").map(|file| proc_system::modules(&file.text));
    let present = files.list("/sys/module").map(|entries| {
        let directories = entries.iter().filter(|entry| matches!(entry.kind, FileKind::Directory | FileKind::Link));
        directories.map(|entry| entry.name.clone()).collect::<Vec<_>>()
    });
    let release = release.filter(|release| !release.contains('/'));
    let of_kernel = |name: &str| {
        let usual = format!("/lib/modules/{}/{name}", release?);
        let merged = format!("/usr{usual}");
        first_text(files, &[&usual, &merged]).ok()
    };
    let builtin = of_kernel("modules.builtin").map(|file| proc_system::module_names(&file.text));
    let loadable = of_kernel("modules.dep").map(|file| {
        // `kernel/fs/overlayfs/overlay.ko.xz: what it needs`
        let modules: String =
            file.text.lines().filter_map(|line| Some([line.split_once(':')?.0, "\n"])).flatten().collect();
        proc_system::module_names(&modules)
    });
    let other_kernels = release.map(|release| other_kernels(files, release)).unwrap_or_default();
    match (loaded, present) {
        (Err(error), Err(_)) => Err(error.unknown()),
        (loaded, present) => {
            let (loaded, present) = (loaded.unwrap_or_default(), present.unwrap_or_default());
            Ok(Modules { loaded, present, builtin, loadable, other_kernels })
        }
    }
}

/// Directories of /lib/modules, when none of them is the running kernel's.
fn other_kernels(files: &Files, release: &str) -> Vec<String> {
    let listed = files.list("/lib/modules").or_else(|_| files.list("/usr/lib/modules"));
    let Ok(entries) = listed else { return Vec::new() };
    let is_kernel = |name: &str| name.starts_with(|c: char| c.is_ascii_digit());
    let names: Vec<String> = entries.iter().map(|entry| entry.name.clone()).filter(|name| is_kernel(name)).collect();
    if names.iter().any(|name| name == release) { Vec::new() } else { names }
}

/// The mounts of the host's first mount namespace, in the order of mounting.
pub fn mounts(files: &Files, problems: &Problems) -> Fact<Vec<Mount>> {
    // In a tree with /proc mounted, `self` is whoever reads it.
    let is_foreign_link = !files.is_live() && files.read_link("/proc/mounts").is_ok();
    let candidates = match is_foreign_link {
        true => ["/proc/1/mounts", "/proc/mounts", "/proc/self/mounts"],
        false => ["/proc/mounts", "/proc/self/mounts", "/proc/1/mounts"],
    };
    let file = first_text(files, &candidates)?;
    let (rows, found) = proc_system::mounts(&file.text);
    problems.add_parsed(&file.path, found);
    let rows = rows.into_iter().map(|row| Mount {
        source: row.source,
        target: row.target,
        fs_type: row.fs_type,
        options: row.options,
        origin: Origin::file(file.path.clone(), Some(row.span)),
    });
    Ok(rows.collect())
}

/// A live kernel without /proc/swaps is built without swapping.
fn swaps(files: &Files, problems: &Problems) -> Fact<Vec<Swap>> {
    const PATH: &str = "/proc/swaps";
    let file = match files.text(PATH) {
        Ok(file) => file,
        Err(error) if error.is_absent() && files.is_of_live_host() => return Ok(Vec::new()),
        Err(error) => return Err(error.unknown()),
    };
    let (rows, found) = proc_system::swaps(&file.text);
    problems.add_parsed(PATH, found);
    let rows = rows.into_iter().map(|row| Swap {
        device: row.device,
        kib: row.kib,
        origin: Origin::file(PATH, Some(row.span)),
    });
    Ok(rows.collect())
}

fn cpus(files: &Files) -> Fact<u32> {
    const INFO: &str = "/proc/cpuinfo";
    let counted = |path: &str| files.text(path).ok().and_then(|file| proc_system::cpus(&file.text));
    match counted(INFO).or_else(|| counted("/proc/stat")) {
        Some(count) => Ok(count),
        None => Err(files.text(INFO).err().map_or_else(|| Unknown::new(INFO, "lists no processor"), |e| e.unknown())),
    }
}

/// A one-word identity; an empty one (`uninitialized` in an image before its first boot) is not known.
fn identity(files: &Files, paths: &[&str]) -> Fact<String> {
    let file = first_text(files, paths)?;
    match file.text.trim() {
        "" | "uninitialized" => Err(Unknown::new(&*file.path, "is not set")),
        identity => Ok(identity.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::source::MemorySource;

    fn files(source: MemorySource) -> Files {
        Files::new(Arc::new(source))
    }

    fn gzipped(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_host_by_its_files() {
        let source = MemorySource::new("m1")
            .file("/usr/lib/os-release", "ID=debian\nVERSION_ID=\"12\"\n")
            .file("/proc/version", "Linux version 6.1.0-18-amd64 (b@h) #1 SMP\n")
            .file("/boot/config-6.1.0-18-amd64", "CONFIG_CGROUPS=y\n")
            .file("/proc/cmdline", "ro quiet\n")
            .file("/proc/modules", "overlay 1 0 - Live 0x0\n")
            .file("/sys/module/br_netfilter/refcnt", "0")
            .file("/usr/lib/modules/6.1.0-18-amd64/modules.builtin", "kernel/net/netfilter/nf_conntrack.ko\n")
            .file("/proc/1/mounts", "/dev/vda1 / ext4 rw 0 0\n")
            .file("/proc/swaps", "Filename Type Size Used Priority\n/dev/zram0 partition 1024 0 100\n")
            .file("/proc/meminfo", "MemTotal: 1000 kB\n")
            .file("/proc/stat", "cpu 1\ncpu0 1\ncpu1 1\n")
            .file("/etc/machine-id", "0123456789abcdef0123456789abcdef\n");
        let files = files(source);
        let problems = Problems::new("m1");
        let system = collect(&files, &problems);
        assert_eq!(system.os_release.unwrap().get("ID").map(String::as_str), Some("debian"));
        let release = system.kernel_release.unwrap();
        assert_eq!(
            (release.value.as_str(), release.origin.to_string().as_str()),
            ("6.1.0-18-amd64", "/proc/version:1:15")
        );
        assert_eq!(system.kernel_config.unwrap().path, "/boot/config-6.1.0-18-amd64");
        assert_eq!(system.kernel_arguments.unwrap(), ["ro", "quiet"]);
        let modules = system.modules.unwrap();
        assert_eq!((modules.loaded, modules.present), (vec!["overlay".to_owned()], vec!["br_netfilter".to_owned()]));
        assert_eq!(modules.builtin.unwrap(), ["nf_conntrack"]);
        assert_eq!(system.mounts.unwrap()[0].origin.to_string(), "/proc/1/mounts:1:1");
        assert_eq!(system.swaps.unwrap()[0].device, "/dev/zram0");
        assert_eq!((system.memory.unwrap().total_kib, system.cpus.unwrap()), (1000, 2));
        assert_eq!(system.machine_id.unwrap().len(), 32);
        assert!(system.product_uuid.is_err());
        assert_eq!(problems.into_sorted(), []);
    }

    #[test]
    fn nothing_is_made_up() {
        let system =
            collect(&files(MemorySource::new("m1").file("/etc/machine-id", "uninitialized\n")), &Problems::new("m1"));
        assert!(system.os_release.is_err());
        assert!(system.kernel_release.is_err());
        assert!(system.kernel_config.is_err());
        assert!(system.modules.is_err());
        assert!(system.mounts.is_err());
        assert!(system.cgroups.is_err());
        assert!(system.swaps.is_err());
        assert!(system.memory.is_err());
        assert!(system.cpus.is_err());
        assert!(system.processes.is_err());
        assert!(system.machine_id.is_err());
    }

    #[test]
    fn kernel_configurations() {
        let bomb = gzipped(&vec![b'\n'; CONFIG_LIMIT as usize + 10]);
        for (why, source, expected) in [
            (
                "packed",
                MemorySource::new("m1").file("/proc/config.gz", gzipped(b"CONFIG_NET_NS=y\n")),
                Ok("/proc/config.gz"),
            ),
            (
                "a broken one is passed over",
                MemorySource::new("m1")
                    .file("/proc/config.gz", "no gzip")
                    .file("/usr/src/linux/.config", "CONFIG_A=y\n"),
                Ok("/usr/src/linux/.config"),
            ),
            ("broken", MemorySource::new("m1").file("/proc/config.gz", "no gzip"), Err("cannot be unpacked")),
            ("too large", MemorySource::new("m1").file("/proc/config.gz", bomb), Err("unpacks to more")),
            ("empty", MemorySource::new("m1").file("/usr/src/linux/.config", "\n"), Err("sets no option")),
            ("refused", MemorySource::new("m1").denied("/proc/config.gz"), Err("permission denied")),
            ("none", MemorySource::new("m1"), Err("no file has it")),
        ] {
            let found = kernel_config(&files(source), Some("6.1/../.."));
            match (found, expected) {
                (Ok(config), Ok(path)) => assert_eq!(config.path, path, "{why}"),
                (Err(unknown), Err(message)) => assert!(unknown.why.contains(message), "{why}: {unknown}"),
                (found, _) => panic!("{why}: {found:?}"),
            }
        }
    }

    #[test]
    fn a_mounted_proc_shows_the_first_process() {
        let source = || {
            MemorySource::new("m1")
                .link("/proc/mounts", "self/mounts")
                .file("/proc/self/mounts", "own / ext4 rw 0 0\n")
                .file("/proc/1/mounts", "host / ext4 rw 0 0\n")
        };
        let mounted = |source| mounts(&files(source), &Problems::new("m1")).unwrap()[0].source.clone();
        assert_eq!(mounted(source()), "host");
        assert_eq!(mounted(source().live()), "own");
    }
}
