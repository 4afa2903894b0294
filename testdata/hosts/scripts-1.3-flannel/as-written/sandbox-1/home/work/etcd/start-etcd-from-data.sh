#!/bin/bash

./bin/etcd --name etcd2 --data-dir /home/work/etcd/data-dir --advertise-client-urls http://sandbox-1:2379 \
  --listen-client-urls http://0.0.0.0:2379 --initial-advertise-peer-urls http://sandbox-1:2380 \
  --listen-peer-urls http://0.0.0.0:2380 --force-new-cluster >> ./log/etcd.log 2>&1
