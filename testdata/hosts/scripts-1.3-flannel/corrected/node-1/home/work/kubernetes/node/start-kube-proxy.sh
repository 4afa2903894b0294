#!/bin/bash

../bin/kube-proxy --logtostderr=true \
  --v=4 \
  --kubeconfig=/home/work/kubernetes/ssl/kube-proxy.kubeconfig \
  >> ./log/kube-proxy.log 2>&1
