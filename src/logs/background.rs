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
i0127 03:10:20.581730   12904 kubelet_node_status.go:76] "successfully registered node" node="m1" kubelet has sufficient memory, kubelet has no disk pressure: nodehassufficientmemory nodehasnodiskpressure nodehassufficientpid
i0127 03:10:20.581730   12904 setters.go:602] "node became not ready" condition={type:ready status:false reason:kubeletnotready} conditions=[memorypressure diskpressure pidpressure ready] memorypressure=false
i0127 03:10:20.581730   12904 reconciler_common.go:245] "operationexecutor.verifycontrollerattachedvolume started for volume \"kube-api-access-x7kqz\" (uniquename: \"kubernetes.io/projected/kube-api-access\") pod \"kube-apiserver-m1\" (uid: )" volumename="kube-proxy" pod="kube-system/kube-proxy"
i0127 03:10:20.581730   12904 kubelet.go:1] "syncloop add" source="api" pods=["kube-system/kube-controller-manager-m1" "kube-system/kube-scheduler-m1" "kube-system/etcd-m1" "kube-system/coredns-5dd5756b68-abcde" "kube-flannel/kube-flannel-ds" "calico-node"]
i0127 03:10:20.581730   12904 topology_manager.go:215] "topology admit handler" podnamespace="kube-system" podname="coredns" memory_manager removecontainer containername="kube-apiserver" cpu_manager removing container removestalestate
i0127 03:10:20.581730   12904 scope.go:117] "removecontainer" containerid="0123" "container not found in pod's containers" "killing container with a grace period" "cleaned up orphaned pod volumes dir" stopping container
i0127 03:10:20.581730   12904 pod_startup_latency_tracker.go:104] "observed pod startup duration" pod="default/web" podstartsloduration= firststartedpulling= pod sandbox changed, it will be killed and re-created, image already present on machine, created container, started container web
i0127 03:10:20.581730   12904 server.go:1] "starting to listen" address="0.0.0.0" starting kubelet, kubelet version v1.28.2, using cgroup driver setting received from the cri runtime systemd cgroup, docker version
i0127 03:10:20.581730       1 controller.go:1] started controller, starting controller, waiting for caches to sync, shutting down controller, serviceaccount token generated, certificate rotation, rotating certificates, loaded client ca
i0127 03:10:20.581730       1 httplog.go:132] "http" verb="list" uri="/api/v1/namespaces/default/pods?fieldselector=spec.nodename%3dm1&limit=500" latency="5ms" useragent="kube-apiserver/v1.28 kube-controller-manager kube-scheduler" user="system:kube-scheduler" groups="system:serviceaccount:kube-system:coredns system:nodes system:node:m1"
w0127 03:10:20.581730       1 watcher.go:229] watch chan error: etcdserver: mvcc: required revision has been compacted; reflector.go watch of *v1.configmap ended with: very short watch: unexpected watch close, lease lost, watch closed
e0127 03:10:20.581730       1 writers.go:118] apiserver was unable to write a json response: http: handler timeout, apiserver received an error that is not an metav1.status, unexpected eof
i0127 03:10:20.581730       1 event.go:307] "event occurred" object="default/web" kind="replicaset" apiversion="apps/v1" type="normal" reason="successfulcreate" message="created pod: web-7f5c6d-abcde" node.kubernetes.io/not-ready node.kubernetes.io/unreachable taints
i0127 03:10:20.581730       1 node_lifecycle_controller.go:1] controller detected that zone is now in state normal. node m1 event: registered node m1 in controller, initializing nodemonitor, missing timestamp for node
i0127 03:10:20.581730       1 proxier.go:1] "syncing iptables rules" adding service port, iptables rules, using iptables proxier, using ipvs proxier, output chain, prerouting chain, conntrack, kube-proxy mode
i0127 03:10:20.581730       1 leaderelection.go:1] successfully acquired lease kube-system/kube-controller-manager, attempting to acquire leader lease, stopped leading, became leader of the lock
2018-03-01 03:10:20.581730 i | etcdserver: saved snapshot, purged file, published {name:m1 clienturls:[https://10.0.0.1:2379]} to cluster, set the initial cluster version to 3.4, added member to cluster, peer became active, rejected connection
2018-03-01 03:10:20.581730 i | rafthttp: established a tcp streaming connection with peer (stream message writer), started peer, started streaming with peer (stream msgapp v2 reader), lost the tcp streaming connection with peer
{"level":"warn","ts":"2024-05-14t20:25:47.051139z","caller":"wal/wal.go:1","msg":"slow fdatasync","took":"1.2s","expected-duration":"1s","remote-peer-id":"0","local-member-id":"0","cluster-id":"0","remote-addr":"10.0.0.1:2380","server-name":"","error":"eof"}
{"level":"info","ts":"2024-05-14t20:25:47.051139z","caller":"embed/etcd.go:1","msg":"serving client traffic securely","address":"127.0.0.1:2379","data-dir":"/var/lib/etcd","initial-advertise-peer-urls":["https://10.0.0.1:2380"],"snapshot-count":10000,"trusted-ca-file":"/etc/kubernetes/pki/etcd/ca.crt","took too long":"finished scheduled compaction","cert-file":"","key-file":"","client-cert-auth":true}
time="2020-07-23t11:25:37.496725460+08:00" level=info msg="runpodsandbox for &podsandboxmetadata{name:kube-apiserver-m1,uid:0,namespace:kube-system,attempt:0,} returns sandbox id \"0\"" createcontainer within sandbox for container returns container id, startcontainer returns successfully, pullimage returns image reference, stoppodsandbox, removepodsandbox, forcibly stopping sandbox
time="2020-07-23t11:25:37.496725460+08:00" level=info msg="api listen on /var/run/docker.sock" docker daemon commit graphdriver=overlay2 version=20.10 starting up, loading containers: start. loading containers: done. default bridge (docker0) is assigned with an ip address, daemon has completed initialization
time="2020-07-23t11:25:37.496725460+08:00" level=warning msg="container 0 failed to exit within 30 seconds of signal 15 - using the force" health check for container error: context deadline exceeded, stream copy error: reading from a closed fifo
jan 27 03:10:20 node-1 systemd[1]: starting docker application container engine... stopped kubelet: the kubernetes node agent. docker.service: succeeded. containerd.service: deactivated successfully. kubelet.service: scheduled restart job, restart counter is at 1. kubelet.service: main process exited, code=exited, status=1/failure. unit kubelet.service entered failed state. reloading. listening on docker socket for the api.
jan 27 03:10:20 node-1 systemd[1]: mounted kubernetes transient mount for /var/lib/kubelet/pods. started libcontainer container. run-docker-runtime\x2drunc-moby.mount: succeeded. var-lib-docker-overlay2-merged.mount: deactivated. cri-containerd-0.scope: consumed 1s cpu time. cri-docker.service kube-apiserver.service kube-controller-manager.service kube-scheduler.service kube-proxy.service etcd.service
jan 27 03:10:20 node-1 kernel: [12345.678901] ipv6: addrconf(netdev_change): device veth left promiscuous mode, entered forwarding state, disabled state, eth0 renamed from veth, memory cgroup, audit: type=1400 apparmor="status" operation="profile_load" profile="unconfined" name="docker-default"
jan 27 03:10:20 node-1 dnsmasq[99]: using nameserver 10.96.0.10#53 ntpd chronyd[9]: selected source, sshd[10]: accepted publickey for root from 10.0.0.1 port 50000, pam_unix(sshd:session): session opened for user root, cron[11]: (root) cmd, networkmanager[12]: <info>, dhclient, rsyslogd, polkitd, dbus-daemon[13]: activating service name
[info] plugin/reload: running configuration, [error] plugin/errors: 2 example.com. a: read udp 10.244.0.2:40000->8.8.8.8:53: i/o timeout, coredns-1.10.1 linux/amd64, plugin/kubernetes: kubernetes, plugin/ready: still waiting on
"#;
