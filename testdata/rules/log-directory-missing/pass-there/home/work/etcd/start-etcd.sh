#!/bin/bash
./bin/etcd --name m1 --data-dir /srv/etcd/data-dir --listen-peer-urls http://10.77.0.11:2380 >> ./log/etcd.log 2>&1
