#!/bin/bash

../bin/kubelet --logtostderr=true --cadvisor-port=8194 --cluster_dns=10.254.88.188 --cluster_domain=Xcloud.local --v=4 --api_servers=http://127.0.0.1:8080 --address=0.0.0.0 --allow_privileged=false --pod-infra-container-image=registry.Xcloud.com/public/pause:1.0.2 --container-runtime=docker >> ./log/kubelet.log 2>&1
