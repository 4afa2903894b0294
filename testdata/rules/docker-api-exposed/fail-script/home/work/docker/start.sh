#!/bin/bash
source /run/flannel/subnet.env
../bin/docker daemon -H unix:///var/run/docker.sock -H tcp://0.0.0.0:2375 --graph=/home/work/docker/runtime >> ./log/docker.log 2>&1
