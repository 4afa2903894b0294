#!/bin/bash

../bin/kubelet --logtostderr=true \
  --cadvisor-port=8194 \
  --cluster-dns=10.254.88.188 \
  --cluster-domain=xcloud.local \
  --v=4 \
  --api-servers=https://127.0.0.1:6443 \
  --kubeconfig=/home/work/kubernetes/ssl/kubelet.kubeconfig \
  --address=0.0.0.0 \
  --allow-privileged=false \
  --pod-infra-container-image=registry.xcloud.com/public/pause:1.0.2 \
  --container-runtime=docker \
  >> ./log/kubelet.log 2>&1
