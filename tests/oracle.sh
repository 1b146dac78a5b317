#!/usr/bin/env bash
# Holds our codecs, quantities, selectors, patches, managed fields and Pod Security Standards against upstream's Go code and
# sample objects, on random inputs. DECAPOD_ORACLE is the Go program, DECAPOD_API_TESTDATA the folder of samples,
# DECAPOD_POD_SECURITY_TESTDATA that of PodSecurity's fixtures; tests/run.sh sets them. DECAPOD_ORACLE_SEED chooses other
# inputs.
set -euo pipefail
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-target}
oracle=$target/debug/decapod-oracle
# A case of managed fields is a row of about five writes.
codec=20000 small=5000 rows=4200
if [[ -n ${DECAPOD_TEST_FULL-} ]]; then
  cargo build --release --package decapod-oracle
  oracle=$target/release/decapod-oracle
  codec=1000000 small=200000 rows=210000
fi
seed=${DECAPOD_ORACLE_SEED:-1}

"$oracle" samples
"$oracle" codec --seed "$seed" --count "$codec"
"$oracle" managed --seed "$seed" --count "$rows"
for subject in quantity selector patch pod-security; do "$oracle" "$subject" --seed "$seed" --count "$small"; done
