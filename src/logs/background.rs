//! What ordinary logs of this field are full of: texts that a literal had better not rest on.

/// Texts that stand in a large part of all lines, in lower case.
pub(crate) const COMMON: &[&str] = &[
    "connection refused",
    "context deadline exceeded",
    "transport: error while dialing",
    "failed to",
    "unable to",
    "error",
    "failed",
    "warning",
    "level=",
    "msg=",
    "http://",
    "https://",
    "github.com/",
    "k8s.io/",
    "kubernetes",
    "kube-system",
    "container",
    "kubelet",
    "docker",
    "reflector.go",
    "dial tcp",
    "rpc error: code = unknown desc =",
    "timeout",
    "request",
    "127.0.0.1",
    "localhost",
];

/// How often a text in lower case stands in ordinary logs.
pub(crate) fn occurrences(text: &[u8]) -> usize {
    memchr::memmem::find_iter(LINES.as_bytes(), &text.to_ascii_lowercase()).count()
}

/// Lines as healthy components write them, in lower case; pieces that occur here are chosen last.
pub(crate) const LINES: &str = r#"
i0127 03:10:20.581730   12904 kubelet_node_status.go:72] attempting to register node node-1
e0127 03:10:20.581730   12904 reflector.go:138] k8s.io/client-go/informers/factory.go:134: failed to watch *v1.node: failed to list *v1.service: get "https://10.0.0.1:6443/api/v1/nodes?limit=500&resourceversion=0": dial tcp 10.0.0.1:6443: connect: connection refused
w0127 03:10:20.581730   12904 empty_dir.go:520] warning: failed to clear quota on /var/lib/kubelet/pods/volumes/kubernetes.io~configmap/config-volume: clearquota called, but quotas disabled
i0127 03:10:20.581730       1 shared_informer.go:247] caches are synced for namespace controller garbage collector resource quota
i0127 03:10:20.581730       1 operation_generator.go:181] scaled up replica set default/deployment-7f5c6d-abcde to 3 mountvolume.setup succeeded for volume "default-token" pod "coredns" uid
i0127 03:10:20.581730       1 trace.go:205] trace[1234]: "get" url:/api/v1/namespaces/kube-system/endpoints/kube-controller-manager,user-agent:kube-controller-manager/v1.20.0 (linux/amd64) kubernetes/leader-election,client:10.0.0.1 (total time: 512ms):
i0127 03:10:20.581730       1 httplog.go:89] "http" verb="get" uri="/apis/coordination.k8s.io/v1/leases" latency="1.2ms" useragent="kube-scheduler" srcip="10.0.0.1:40000" resp=200
i0127 03:10:20.581730       1 prober.go:117] probe failed probetype="readiness" pod="default/web-0" poduid= containername="web" proberesult=failure output="http probe failed with statuscode: 503"
e0127 03:10:20.581730   12904 pod_workers.go:191] error syncing pod, skipping: failed to "startcontainer" for "web" with crashloopbackoff: "back-off 5m0s restarting failed container=web pod=web-0_default(4b2c)"
2018-03-01 03:10:20.581730 i | etcdserver: start to snapshot (applied: 100001, lastsnap: 90001) saved snapshot at index compacted raft log at
2018-03-01 03:10:20.581730 i | mvcc: store.index: compact 12345 finished scheduled compaction at 12345 (took 1.2345ms)
2018-03-01 03:10:20.581730 w | etcdserver: read-only range request "key:\"/registry/leases/kube-node-lease/\" range_end:" with result "range_response_count:1 size:500" took too long (123.4ms) to execute
{"level":"info","ts":"2024-05-14t20:25:47.051139z","caller":"mvcc/hash.go:137","msg":"storing new hash","hash":123,"revision":456,"compact-revision":400}
{"level":"warn","ts":"2024-05-14t20:25:47.051139z","caller":"etcdserver/util.go:170","msg":"apply request took too long","took":"123ms","expected-duration":"100ms","prefix":"read-only range ","request":"key:\"/registry/health\" ","response":"range_response_count:0 size:6"}
{"level":"info","ts":"2024-05-14t20:25:47.051139z","logger":"raft","caller":"etcdserver/zap_raft.go:77","msg":"91bc3c398fb3c146 became follower at term 5"}
time="2020-07-23t11:25:37.496725460+08:00" level=info msg="loading plugin \"io.containerd.grpc.v1.images\"..." type=io.containerd.grpc.v1
time="2020-07-23t11:25:37.496725460+08:00" level=info msg="shim containerd-shim started" address=/containerd-shim/moby/abc/shim.sock debug=false pid=1234
time="2020-07-23t11:25:37.496725460+08:00" level=info msg="ignoring event" module=libcontainerd namespace=moby topic=/tasks/delete type="*events.taskdelete"
time="2020-07-23t11:25:37.496725460+08:00" level=warning msg="cleaning up after shim disconnected" id=abc namespace=k8s.io
jan 27 03:10:20 node-1 systemd[1]: started kubernetes systemd probe. created slice libcontainer container kubepods-burstable.slice. starting session of user root.
jan 27 03:10:20 node-1 kernel: [12345.678901] ipv6: addrconf(netdev_up): eth0: link becomes ready cni0: port 1(veth) entered blocking state device veth entered promiscuous mode
"#;
