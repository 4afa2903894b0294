#!/bin/bash

../bin/kube-controller-manager --logtostderr=true \
  --v=4 \
  --master=http://127.0.0.1:8080 \
  --node-monitor-grace-period=40s \
  --pod-eviction-timeout=5m0s \
  --service-account-private-key-file=/home/work/kubernetes/ssl/sa.key \
  --root-ca-file=/home/work/kubernetes/ssl/ca.pem \
  --leader-elect=true \
  >> ./log/kube-controller-manager.log 2>&1
