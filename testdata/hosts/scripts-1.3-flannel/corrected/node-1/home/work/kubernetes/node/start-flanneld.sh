#!/bin/bash

ETCD_CLUSTER="https://sandbox-1:2379,https://sandbox-2:2379,https://sandbox-3:2379"
../bin/flanneld -etcd-endpoints=$ETCD_CLUSTER \
  -etcd-cafile=/home/work/kubernetes/ssl/ca.pem \
  -etcd-certfile=/home/work/kubernetes/ssl/etcd-client.pem \
  -etcd-keyfile=/home/work/kubernetes/ssl/etcd-client-key.pem \
  -remote=sandbox-1:8888 \
  -remote-cafile=/home/work/kubernetes/ssl/ca.pem \
  -remote-certfile=/home/work/kubernetes/ssl/flannel.pem \
  -remote-keyfile=/home/work/kubernetes/ssl/flannel-key.pem \
  >> ./log/flannel.log 2>&1
