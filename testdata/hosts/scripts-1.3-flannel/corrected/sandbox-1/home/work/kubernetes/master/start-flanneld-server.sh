#!/bin/bash

../bin/flanneld-server -v \
  16 \
  -listen=0.0.0.0:8888 \
  -etcd-endpoints=https://sandbox-1:2379,https://sandbox-2:2379,https://sandbox-3:2379 \
  -etcd-cafile=/home/work/kubernetes/ssl/ca.pem \
  -etcd-certfile=/home/work/kubernetes/ssl/etcd-client.pem \
  -etcd-keyfile=/home/work/kubernetes/ssl/etcd-client-key.pem \
  -remote-cafile=/home/work/kubernetes/ssl/ca.pem \
  -remote-certfile=/home/work/kubernetes/ssl/flannel.pem \
  -remote-keyfile=/home/work/kubernetes/ssl/flannel-key.pem \
  >> ./log/flanneld-server.log 2>&1
