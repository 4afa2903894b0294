use std::sync::Arc;

use super::*;
use crate::source::MemorySource;

const TRIE: &str = "\
Main:
  |-- 10.77.0.0
     /24 link UNICAST
Local:
  +-- 0.0.0.0/1 2 0 2
     |-- 10.77.0.11
        /32 host LOCAL
     |-- 10.77.0.100
        /32 host LOCAL
     |-- 10.96.0.1
        /32 host LOCAL
     |-- 10.244.1.1
        /32 host LOCAL
     |-- 127.0.0.0
        /8 host LOCAL
     |-- 127.0.0.1
        /32 host LOCAL
     |-- 192.0.2.0
        /24 host LOCAL
";
const ROUTES: &str = "\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
host0\t00000000\t01004D0A\t0003\t0\t0\t0\t00000000\t0\t0\t0
ppp0\t00000000\t00000000\t0001\t0\t0\t9\t00000000\t0\t0\t0
host0\t00004D0A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
tun0\t0000000A\t00000000\t0001\t0\t0\t0\t000000FF\t0\t0\t0
cni0\t0001F40A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
";
const INET6: &str = "fe800000000000000c11d5fffe53ea68 02 40 20 80    host0\n\
                         00000000000000000000000000000001 01 80 10 80       lo\n";
const NO_DEFAULT_V6: &str = "00000000000000000000000000000000 00 00000000000000000000000000000000 00 \
                                 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo\n";

fn socket(local: &str, state: &str, inode: u64) -> String {
    format!("   0: {local} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000     0        0 {inode} 1 0\n")
}

fn host(directory: &str) -> MemorySource {
    let v6_any = "0".repeat(32);
    let tcp = [socket("0100007F:094D", "0A", 5), socket("0B004D0A:094B", "0A", 6), socket("0B004D0A:1111", "01", 9)];
    MemorySource::new("m1")
        .file(format!("{directory}/fib_trie"), TRIE)
        .file(format!("{directory}/route"), ROUTES)
        .file(format!("{directory}/if_inet6"), INET6)
        .file(format!("{directory}/ipv6_route"), NO_DEFAULT_V6)
        .file(format!("{directory}/tcp"), format!("  sl  local_address\n{}", tcp.concat()))
        .file(
            format!("{directory}/tcp6"),
            format!("  sl  local_address\n{}", socket(&format!("{v6_any}:192B"), "0A", 7)),
        )
        .file("/sys/class/net/host0/flags", "0x1003\n")
        .file("/sys/class/net/host0/mtu", "1500\n")
        .file("/sys/class/net/host0/address", "0e:11:d5:53:ea:68\n")
        .file("/sys/class/net/lo/operstate", "unknown\n")
        .file("/sys/class/net/lo/address", "00:00:00:00:00:00\n")
        .file("/sys/class/net/eth9/operstate", "down\n")
        .file("/sys/class/net/bonding_masters", "")
}

fn process(pid: u32, comm: &str, namespace: Option<u64>) -> Process {
    Process {
        pid,
        comm: comm.to_owned(),
        exe: None,
        argv: vec![comm.to_owned()],
        cwd: None,
        environment: BTreeMap::new(),
        network_namespace: namespace,
        stopped: false,
        started_ticks: None,
    }
}

fn taken(source: MemorySource, processes: &[Process]) -> Fact<Network> {
    collect(&Files::new(Arc::new(source)), &Problems::new("m1"), &Ok(processes.to_vec()))
}

#[test]
fn addresses_go_to_interfaces() {
    let network = taken(host("/proc/net"), &[]).unwrap();
    let shown: Vec<_> = network
        .interfaces
        .iter()
        .map(|interface| {
            let addresses: Vec<_> = interface.addresses.iter().map(ToString::to_string).collect();
            format!("{}: {} {:?}", interface.name, addresses.join(" "), interface.up)
        })
        .collect();
    assert_eq!(
        shown,
        [
            "cni0: 10.244.1.1/24 None",
            "eth9:  Some(false)",
            "host0: 10.77.0.11/24 10.77.0.100/24 fe80::c11:d5ff:fe53:ea68/64 Some(true)",
            "ppp0:  None",
            "tun0: 10.96.0.1/8 None",
            "lo: 127.0.0.1/8 ::1/128 Some(true)",
        ]
    );
    let host0 = network.interfaces.iter().find(|interface| interface.name == "host0").unwrap();
    assert_eq!((host0.mtu, host0.mac.as_deref()), (Some(1500), Some("0e:11:d5:53:ea:68")));
    assert_eq!(network.interfaces.last().unwrap().mac, None);
    for (address, owned) in [("192.0.2.9", true), ("10.77.0.12", false), ("127.1.2.3", true), ("::1", true)] {
        assert_eq!(network.owns(address.parse().unwrap()), owned, "{address}");
    }
    let origins: Vec<_> = network.routes_v4.unwrap().iter().map(|route| route.origin.to_string()).collect();
    assert_eq!(origins[0], "/proc/net/route:2:1");
    assert!(!network.routes_v6.unwrap().iter().any(Route::is_default));
}

#[test]
fn an_address_without_a_connected_route_has_no_interface() {
    let source = MemorySource::new("m1").file("/proc/net/fib_trie", TRIE).file("/proc/net/route", "");
    let network = taken(source, &[]).unwrap();
    let unnamed = network.interface_of("10.77.0.11".parse().unwrap()).unwrap();
    assert_eq!((unnamed.name.as_str(), unnamed.addresses[0].prefix_len()), ("", 32));
    assert_eq!(network.interface_of("127.0.0.1".parse().unwrap()).unwrap().name, "lo");
}

#[test]
fn listeners_and_who_holds_them() {
    let source = host("/proc/net")
        .link("/proc/1/ns/net", "net:[100]")
        .link("/proc/40/fd/3", "socket:[7]")
        .link("/proc/50/fd/0", "/dev/null")
        .link("/proc/50/fd/3", "socket:[5]")
        .link("/proc/50/fd/4", "socket:[9]")
        .link("/proc/60/fd/3", "socket:[5]")
        .link("/proc/60/fd/7", "socket:[7]");
    let processes = [process(40, "other", Some(200)), process(50, "etcd", Some(100)), process(60, "apiserver", None)];
    let shown = |processes: &Fact<Vec<Process>>, source| {
        let network = collect(&Files::new(Arc::new(source)), &Problems::new("m1"), processes).unwrap();
        let listeners = network.listeners.unwrap();
        let shown = |listener: &Listener| {
            let process = listener.process.as_ref().map(|process| format!(" {} {}", process.name, process.pid));
            format!("{} {}{}", listener.address, listener.port, process.unwrap_or_default())
        };
        assert_eq!(listeners[0].origin.to_string(), "/proc/net/tcp:2:1");
        listeners.iter().map(shown).collect::<Vec<_>>()
    };
    assert_eq!(
        shown(&Ok(processes.to_vec()), source),
        ["127.0.0.1 2381 etcd 50", "10.77.0.11 2379", ":: 6443 apiserver 60"]
    );
    let unknown = Err(Unknown::new("processes", "permission denied"));
    assert_eq!(shown(&unknown, host("/proc/net")), ["127.0.0.1 2381", "10.77.0.11 2379", ":: 6443"]);
}

#[test]
fn what_is_not_there_is_unknown() {
    let unreadable = host("/proc/net").denied("/proc/net/route").denied("/proc/net/tcp");
    let network = taken(unreadable, &[]).unwrap();
    assert!(network.routes_v4.is_err());
    assert!(network.listeners.is_err());
    assert!(taken(MemorySource::new("m1").file("/etc/hostname", "m1"), &[]).is_err());
    assert!(taken(host("/proc/net").denied("/proc/net/fib_trie"), &[]).is_err());
    assert!(taken(host("/proc/net").denied("/proc/net/if_inet6"), &[]).is_err());

    let v4_only = || {
        MemorySource::new("m1")
            .file("/proc/net/fib_trie", TRIE)
            .file("/proc/net/route", ROUTES)
            .file("/proc/net/tcp", "")
    };
    let network = taken(v4_only(), &[]).unwrap();
    assert_eq!((network.routes_v6, network.listeners), (Ok(vec![]), Ok(vec![])), "a kernel without IPv6");
    let heading = "  sl  local_address                         remote_address                        st tx_queue\n";
    let network = taken(v4_only().file("/proc/net/tcp6", heading), &[]).unwrap();
    assert_eq!(network.listeners, Ok(vec![]), "no IPv6 socket, and nothing else of IPv6");
    let network = taken(v4_only().file("/proc/net/if_inet6", INET6), &[]).unwrap();
    assert!(network.routes_v6.is_err(), "IPv6 is there, its routes were not taken");
    assert!(network.listeners.is_err());
}

#[test]
fn a_mounted_proc_shows_the_first_process() {
    let foreign = "Local:\n|-- 192.0.2.1\n/32 host LOCAL\n";
    let source = host("/proc/1/net").link("/proc/net", "self/net").file("/proc/self/net/fib_trie", foreign);
    let network = taken(source, &[]).unwrap();
    assert_eq!(network.origin.path(), Some("/proc/1/net/fib_trie"));
    assert!(network.owns("10.77.0.11".parse().unwrap()));
    assert_eq!(taken(host("/proc/1/net"), &[]).unwrap().origin.path(), Some("/proc/1/net/fib_trie"));
}
