#!/usr/bin/env bash
# Admission plugins: each refuses, changes or warns through kubectl, and those that are off do not. The API server alone.
. "$(dirname "$0")/lib.sh"

k() { timeout 20 "$KUBECTL" --kubeconfig "$WORK/api/admin.kubeconfig" "$@"; }
# serve [FLAG...]: the API server, over the same data.
serve() {
  [ -z "${PID-}" ] || { kill "$PID" && wait "$PID" || true; }
  start_apiserver "$WORK/api" 16731 "$WORK/api.log" "$@"
}
# pod NAME [SPEC]: a pod as JSON. SPEC overwrites.
pod() {
  python3 - "$1" "${2:-{\}}" <<'PY'
import json, sys
name, more = sys.argv[1:]
spec = {"containers": [{"name": "a", "image": "i"}]}
print(json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec | json.loads(more)}))
PY
}
make_pod() { pod "$@" | k create -f - -o json; }
# namespace NAME [MODE=VALUE...]: with PodSecurity's labels.
namespace() {
  local name=$1
  shift
  k create namespace "$name" >/dev/null
  k create serviceaccount default -n "$name" >/dev/null
  [ $# -eq 0 ] || k label namespace "$name" "${@/#/pod-security.kubernetes.io/}"
}
# may NAME RULE: jane gets a right.
may() {
  k create -f - >/dev/null <<<'{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","metadata":{"name":"'"$1"'"},"rules":['"$2"']}'
  k create clusterrolebinding "$1" --clusterrole="$1" --user=jane >/dev/null
}
settings() { printf 'apiVersion: apiserver.config.k8s.io/v1\nkind: AdmissionConfiguration\nplugins:\n%s\n' "$1" >"$WORK/admission.yaml"; }

serve
k create serviceaccount default >/dev/null

# PodSecurity.
namespace strict enforce=baseline warn=restricted
HOST='{"hostNetwork": true}'
k config set-context --current --namespace=strict >/dev/null
refuses "a pod that breaks the rules" 'pods "host" is forbidden: violates PodSecurity "baseline:latest": host namespaces (hostNetwork=true)' \
  make_pod host "$HOST"
dry() { pod "$@" | k create --dry-run=server -f -; }
refuses "a dry run of it" 'violates PodSecurity' dry host "$HOST"
expect "what is only warned of" 'Warning: would violate PodSecurity "restricted:latest": allowPrivilegeEscalation != false (container "a" must set' make_pod fine
expect "a deployment whose pods would be refused" 'Warning: would violate PodSecurity "restricted:latest"' k create deployment d --image=i
refuses "a privileged container for debugging" 'violates PodSecurity "baseline:latest": non-default capabilities' \
  k debug fine --image=busybox --profile=netadmin --attach=false --quiet
check "a harmless change" k label pod fine a=b
k config set-context --current --namespace=default >/dev/null
check "another namespace has other rules" make_pod host "$HOST"
expect "a stricter label tells of pods that are there" 'Warning: host: host namespaces' \
  k label namespace default pod-security.kubernetes.io/enforce=baseline
refuses "a label that is none" 'must be one of privileged, baseline, restricted' k label namespace default pod-security.kubernetes.io/enforce=x --overwrite
refuses "a version that is none" 'must be "latest" or "v1.x"' k label namespace default pod-security.kubernetes.io/enforce-version=2
k label namespace default pod-security.kubernetes.io/enforce- >/dev/null

# Certificates. Jane may change requests, but does not speak for signers.
csr() { # name signer subject
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -keyout "$WORK/key" -subj "$3" -out "$WORK/csr" 2>/dev/null
  k create -f - <<JSON
{"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": {"name": "$1"},
 "spec": {"signerName": "$2", "usages": ["client auth"], "request": "$(base64 -w0 "$WORK/csr")"}}
JSON
}
CLIENT=kubernetes.io/kube-apiserver-client
may changes '{"apiGroups":["certificates.k8s.io"],"resources":["*"],"verbs":["get","update","patch"]}'
check "a request" csr one $CLIENT /CN=a/O=team
refuses "a request to be a master" "use of $CLIENT signer with system:masters group is not allowed" csr two $CLIENT /CN=a/O=team/O=system:masters
check "for another signer it says nothing" csr three example.com/x /CN=a/O=system:masters
refuses "an approval" "user not permitted to approve requests with signerName \"$CLIENT\"" k certificate approve one --as jane
sign() { k patch csr one --subresource=status --type=json --as jane -p '[{"op":"add","path":"/status/conditions/-","value":{"type":"Failed","status":"True","reason":"x"}}]'; }
k certificate approve one >/dev/null
refuses "a signature" "user not permitted to sign requests with signerName \"$CLIENT\"" sign
may speaks '{"apiGroups":["certificates.k8s.io"],"resources":["signers"],"resourceNames":["kubernetes.io/*"],"verbs":["approve","sign"]}'
check "an approval of who speaks for the domain" k certificate approve one --as jane
check "a signature of who does" sign

# PodTopologyLabels.
k create -f - >/dev/null <<<'{"apiVersion":"v1","kind":"Node","metadata":{"name":"n","labels":{"topology.kubernetes.io/zone":"z","topology.kubernetes.io/region":"r"}}}'
make_pod bound >/dev/null
bind() { k create --raw "/api/v1/namespaces/default/pods/$1/binding" -f - <<<'{"apiVersion":"v1","kind":"Binding","metadata":{"name":"'"$1"'"},"target":{"kind":"Node","name":"n"}}'; }
check "a binding" bind bound
LABELS='jsonpath={.metadata.labels}'
expect "gives the pod its node's zone" '{"topology.kubernetes.io/region":"r","topology.kubernetes.io/zone":"z"}' k get pod bound -o "$LABELS"
make_pod placed '{"nodeName": "n"}' >/dev/null
expect "so does being made there" '"topology.kubernetes.io/zone":"z"' k get pod placed -o "$LABELS"

# The flags.
no() { timeout 10 "$DECAPOD" apiserver --data-dir "$WORK/none" --port 16732 "$@"; }
refuses "a plugin that is not known" 'enable-admission-plugins plugin "Foo" is unknown' no --enable-admission-plugins NodeRestriction,Foo
refuses "nor to be turned off" 'disable-admission-plugins plugin "Foo" is unknown' no --disable-admission-plugins Foo
refuses "on and off at once" '[AlwaysDeny] in enable-admission-plugins and disable-admission-plugins overlapped' \
  no --enable-admission-plugins AlwaysDeny --disable-admission-plugins AlwaysDeny
refuses "settings that are not there" 'unable to read admission control configuration from' no --admission-control-config-file "$WORK/missing"
settings '- {name: PodSecurity, configuration: {apiVersion: pod-security.admission.config.k8s.io/v1, kind: PodSecurityConfiguration, defaults: {enforce: high}}}'
refuses "settings that make no sense" "couldn't init admission plugin \"PodSecurity\": defaults.enforce: Invalid value: \"high\": must be one of" \
  no --admission-control-config-file "$WORK/admission.yaml"

# What is off by default, and settings.
settings '- name: PodSecurity
  configuration:
    apiVersion: pod-security.admission.config.k8s.io/v1
    kind: PodSecurityConfiguration
    defaults: {enforce: restricted, enforce-version: v1.7}
    exemptions: {namespaces: [kube-system]}'
serve --admission-control-config-file "$WORK/admission.yaml" --enable-admission-plugins \
  AlwaysAdmit,NamespaceExists,LimitPodHardAntiAffinityTopology,AlwaysPullImages,ExtendedResourceToleration,DenyServiceExternalIPs
refuses "a pod, by the defaults for all namespaces" 'violates PodSecurity "restricted:v1.7": host namespaces (hostNetwork=true), runAsNonRoot != true' make_pod h2 "$HOST"
USER='"securityContext": {"runAsNonRoot": true}'
expect "images are pulled" '"imagePullPolicy": "Always"' make_pod pulls "{$USER}"
expect "devices are tolerated" '"key": "example.com/gpu"' make_pod device \
  "{$USER, \"containers\": [{\"name\": \"a\", \"image\": \"i\", \"resources\": {\"limits\": {\"example.com/gpu\": \"1\"}}}]}"
ANTI='"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "zone"}]}}'
refuses "anti-affinity beyond nodes" 'has TopologyKey zone but only key kubernetes.io/hostname is allowed' make_pod anti "{$USER, $ANTI}"
service() { k create -f - <<<'{"apiVersion":"v1","kind":"Service","metadata":{"name":"s"},"spec":{"ports":[{"port":80}]'"$1"'}}'; }
refuses "addresses of others" 'Use of external IPs is denied by admission control' service ',"externalIPs":["192.0.2.1"]'
check "a service without" service ''
refuses "a namespace that is not there" 'namespaces "none" not found' k create configmap c -n none
refuses "nor to delete in it" 'not found' k delete configmap c -n none

serve --disable-admission-plugins PodSecurity,CertificateApproval
check "what is off does not refuse" make_pod host3 "$HOST"
serve --enable-admission-plugins AlwaysDeny
refuses "everything" 'admission control is denying all modifications' k create configmap c
