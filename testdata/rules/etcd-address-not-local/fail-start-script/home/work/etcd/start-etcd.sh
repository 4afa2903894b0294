#!/bin/bash

HOSTNAME="http://203.0.113.12"
CLUSTER="etcd0=http://sandbox-3:2380,etcd1=http://sandbox-2:2380,etcd2=http://sandbox-1:2380"

./bin/etcd --name etcd2 --data-dir /home/work/etcd/data-dir --advertise-client-urls "http://sandbox-1:2379" --listen-client-urls http://0.0.0.0:2379,http://0.0.0.0:4001 --initial-advertise-peer-urls "http://sandbox-1:2380" --listen-peer-urls "$HOSTNAME:2380" --initial-cluster $CLUSTER --initial-cluster-state new >> ./log/etcd.log 2>&1
