#!/bin/bash

ETCD_CLUSTER="http://sandbox-1:2379,http://sandbox-2:2379,http://sandbox-3:2379"
../bin/flanneld -etcd-endpoints=$ETCD_CLUSTER -remote=sandbox-1:8888 >> ./log/flannel.log 2>&1
