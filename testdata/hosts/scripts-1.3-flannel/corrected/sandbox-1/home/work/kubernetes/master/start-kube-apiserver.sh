#!/bin/bash

../bin/kube-apiserver --logtostderr=true \
  --v=4 \
  --etcd-servers=https://sandbox-1:2379,https://sandbox-2:2379,https://sandbox-3:2379 \
  --etcd-cafile=/home/work/kubernetes/ssl/ca.pem \
  --etcd-certfile=/home/work/kubernetes/ssl/etcd-client.pem \
  --etcd-keyfile=/home/work/kubernetes/ssl/etcd-client-key.pem \
  --insecure-bind-address=127.0.0.1 \
  --insecure-port=8080 \
  --bind-address=0.0.0.0 \
  --secure-port=6443 \
  --advertise-address=10.207.182.18 \
  --tls-cert-file=/home/work/kubernetes/ssl/apiserver.pem \
  --tls-private-key-file=/home/work/kubernetes/ssl/apiserver-key.pem \
  --client-ca-file=/home/work/kubernetes/ssl/ca.pem \
  --service-account-key-file=/home/work/kubernetes/ssl/sa.pub \
  --allow-privileged=false \
  --admission-control=NamespaceLifecycle,LimitRanger,ServiceAccount,ResourceQuota \
  --service-cluster-ip-range=10.254.0.0/16 \
  --service-node-port-range=30000-32767 \
  --apiserver-count=3 \
  >> ./log/kube-apiserver.log 2>&1
