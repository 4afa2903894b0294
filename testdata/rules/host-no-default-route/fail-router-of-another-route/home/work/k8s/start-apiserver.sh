../bin/kube-apiserver --etcd_servers=http://sandbox-1:2379 --address=0.0.0.0
