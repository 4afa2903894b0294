#!/bin/bash
./bin/etcd --name m1 --data-dir /home/work/etcd/data-dir --listen-client-urls http://127.0.0.1:2379 >> ./log/etcd.log 2>&1
