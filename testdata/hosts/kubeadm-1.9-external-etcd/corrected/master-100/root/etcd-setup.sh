#!/bin/bash
# etcd of this master: its name and address for the unit, certificates of its own.
set -eu
PRIVATE_IP=$(ip addr show eth0 | grep -Po 'inet \K[\d.]+' | head -1)
PEER_NAME=master-${PRIVATE_IP##*.}
cd /etc/etcd/pki
cfssl print-defaults csr > config.json
sed -i '0,/CN/{s/example\.net/'"$PEER_NAME"'/}' config.json
sed -i 's/www\.example\.net/'"$PRIVATE_IP"'/' config.json
sed -i 's/example\.net/'"$PEER_NAME"'/' config.json
cfssl gencert -ca=ca.pem -ca-key=ca-key.pem -config=ca-config.json -profile=server config.json | cfssljson -bare server
cfssl gencert -ca=ca.pem -ca-key=ca-key.pem -config=ca-config.json -profile=peer config.json | cfssljson -bare peer
echo "PEER_NAME=$PEER_NAME" > /etc/etcd.env
echo "PRIVATE_IP=$PRIVATE_IP" >> /etc/etcd.env
systemctl daemon-reload
systemctl enable etcd
systemctl start etcd
