#!/bin/bash

source /run/flannel/subnet.env
mkdir -p /home/work/docker/run 2>/dev/null
../bin/docker daemon \
  -H \
  unix:///var/run/docker.sock \
  --graph=/home/work/docker/runtime_1.11 \
  --exec-root=/home/work/docker/run \
  --bip=${FLANNEL_SUBNET} \
  --mtu=${FLANNEL_MTU} \
  >> ./log/docker.log 2>&1
