#!/bin/bash

../bin/flanneld-server -v 16 -listen=0.0.0.0:8888 >> ./log/flanneld-server.log 2>&1
