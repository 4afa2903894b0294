#!/bin/bash

HOSTNAME="https://sandbox-1"
CLUSTER="etcd0=https://sandbox-3:2380,etcd1=https://sandbox-2:2380,etcd2=https://sandbox-1:2380"

./bin/etcd --name etcd2 --data-dir /home/work/etcd/data-dir --advertise-client-urls "$HOSTNAME:2379" \
  --listen-client-urls https://10.207.182.18:2379,https://127.0.0.1:2379 --initial-advertise-peer-urls "$HOSTNAME:2380" \
  --listen-peer-urls https://10.207.182.18:2380 --initial-cluster-token etcd-cluster-1 --initial-cluster $CLUSTER \
  --initial-cluster-state new --cert-file /home/work/etcd/ssl/server.pem --key-file /home/work/etcd/ssl/server-key.pem \
  --client-cert-auth --trusted-ca-file /home/work/etcd/ssl/ca.pem --peer-cert-file /home/work/etcd/ssl/server.pem \
  --peer-key-file /home/work/etcd/ssl/server-key.pem --peer-client-cert-auth --peer-trusted-ca-file /home/work/etcd/ssl/ca.pem \
  >> ./log/etcd.log 2>&1
