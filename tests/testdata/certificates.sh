#!/usr/bin/env bash
# Makes the certificates with which the tests play the servers of others: ca.pem, server.pem and server.key, anew. Add a host here.
set -euo pipefail
hosts=(
  localhost
  api.digitalocean.com
  api.hetzner.cloud
  api.ionos.com
  api.linode.com
  api.scaleway.com
  api.vultr.com
  compute.googleapis.com
  login.microsoftonline.com
  management.azure.com
  iaas.api.eu01.stackit.cloud
  service-account.api.stackit.cloud
  ec2.eu-central-1.amazonaws.com
  ecs.eu-central-1.amazonaws.com
  elasticache.eu-central-1.amazonaws.com
  kafka.eu-central-1.amazonaws.com
  lightsail.eu-central-1.amazonaws.com
  mq.eu-central-1.amazonaws.com
  rds.eu-central-1.amazonaws.com
  sts.eu-central-1.amazonaws.com
  marathon.example
  inventory.example
  puppetdb.example
  uyuni.example
  api.eu-west-2.outscale.com
  iaas.eu-frankfurt-1.oraclecloud.com
)
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
openssl ecparam -name prime256v1 -genkey -noout -out "$work/ca.key"
openssl req -x509 -new -key "$work/ca.key" -days 36500 -subj "/CN=Kymo tests" -out ca.pem \
  -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign"
openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out server.key
openssl req -new -key server.key -subj "/CN=localhost" -out "$work/request"
{
  printf 'subjectAltName=IP:127.0.0.1'
  printf ',DNS:%s' "${hosts[@]}"
  printf '\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n'
} >"$work/extensions"
openssl x509 -req -in "$work/request" -CA ca.pem -CAkey "$work/ca.key" -CAcreateserial -days 36500 -extfile "$work/extensions" -out server.pem
