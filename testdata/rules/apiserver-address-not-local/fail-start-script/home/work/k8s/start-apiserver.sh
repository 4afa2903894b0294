#!/bin/bash
../bin/kube-apiserver --logtostderr=true --etcd_servers=http://sandbox-1:2379 --address=192.168.50.101 --service-cluster-ip-range=10.254.0.0/16 >> ./log/kube-apiserver.log 2>&1
