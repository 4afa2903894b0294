#!/bin/sh
# What flanneld leased becomes dockerd's options.
set -eu
. /run/flannel/subnet.env
echo "DOCKER_NETWORK_OPTIONS=\" --bip=$FLANNEL_SUBNET --ip-masq=false --mtu=$FLANNEL_MTU\"" > /run/flannel/docker
