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
  AlwaysAdmit,NamespaceExists,LimitPodHardAntiAffinityTopology,AlwaysPullImages,ExtendedResourceToleration,DenyServiceExternalIPs,OwnerReferencesPermissionEnforcement
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
OWNED='"metadata":{"name":"owned","ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"o","uid":"u","blockOwnerDeletion":true}]}'
may makes '{"apiGroups":[""],"resources":["configmaps"],"verbs":["*"]}'
owned() { k create --as jane -f - <<<'{"apiVersion":"v1","kind":"ConfigMap",'"$OWNED"'}'; }
refuses "an owner that cannot be held" "cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on: " owned
may finalizes '{"apiGroups":[""],"resources":["configmaps/finalizers"],"verbs":["update"]}'
check "one that can" owned

# What namespaces say of their pods, and what floods.
settings '- {name: EventRateLimit, configuration: {apiVersion: eventratelimit.admission.k8s.io/v1alpha1, kind: Configuration,
    limits: [{type: Namespace, qps: 1, burst: 1}]}}
- {name: PodNodeSelector, path: selectors.yaml}'
echo '{podNodeSelectorPluginConfig: {apart: "disk=ssd,env=prod"}}' >"$WORK/selectors.yaml"
serve --admission-control-config-file "$WORK/admission.yaml" --disable-admission-plugins ServiceAccount --enable-admission-plugins \
  EventRateLimit,PodNodeSelector,PodTolerationRestriction,NamespaceAutoProvision
check "a namespace is made for what is in it" k create configmap c -n apart
k annotate namespace apart scheduler.alpha.kubernetes.io/node-selector=env=prod \
  'scheduler.alpha.kubernetes.io/defaultTolerations=[{"key":"a","operator":"Exists"}]' \
  'scheduler.alpha.kubernetes.io/tolerationsWhitelist=[{"key":"a","operator":"Exists"},{"operator":"Exists","effect":"NoExecute"}]' >/dev/null
make_apart() { pod "$@" | k create -n apart -o json -f -; }
expect "its pods get its nodes" '"env": "prod"' make_apart one '{"nodeSelector": {"disk": "ssd"}}'
refuses "none of another" 'pod node label selector conflicts with its namespace node label selector' make_apart two '{"nodeSelector": {"env": "dev"}}'
refuses "nor what is not allowed there" 'pod node label selector labels conflict with its namespace whitelist' make_apart two '{"nodeSelector": {"gpu": "yes"}}'
expect "and its tolerations" '"key": "a"' make_apart three
refuses "no others" 'conflict with its namespace whitelist' make_apart four '{"tolerations": [{"key": "b", "operator": "Exists"}]}'
events() {
  printf '{"apiVersion":"v1","kind":"Event","metadata":{"name":"e%d"},"involvedObject":{"namespace":"default"}}\n' {1..30} | k create -f -
}
refuses "a flood of events" 'limit reached on type Namespace for key default' events

# Whose word on images counts.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 2 -subj /CN=images -addext 'subjectAltName=IP:127.0.0.1' \
  -keyout "$WORK/images.key" -out "$WORK/images.crt" 2>/dev/null
cat >"$WORK/images.kubeconfig" <<YAML
clusters: [{name: i, cluster: {server: 'https://127.0.0.1:16733/images', certificate-authority: images.crt}}]
users: [{name: i, user: {client-certificate: images.crt, client-key: images.key}}]
contexts: [{name: i, context: {cluster: i, user: i}}]
current-context: i
YAML
settings "- {name: ImagePolicyWebhook, configuration: {imagePolicy: {kubeConfigFile: $WORK/images.kubeconfig, retryBackoff: 1}}}"
serve --admission-control-config-file "$WORK/admission.yaml" --enable-admission-plugins ImagePolicyWebhook
refuses "nobody to ask" 'pods "unasked" is forbidden: Post "https://127.0.0.1:16733/images": dial tcp 127.0.0.1:16733: connect: connection refused' make_pod unasked
python3 "$ROOT/tests/admission/images.py" "$WORK/images.crt" "$WORK/images.key" 16733 "$WORK/images.log" &
STARTED+=("$!")
eventually 10 "somebody is there" bash -c "exec 3<>/dev/tcp/127.0.0.1/16733"
check "an image" make_pod asked
check "the same again" make_pod again
expect "is asked about once" 1 wc -l "$WORK/images.log"
expect "by who shows a certificate" 'CN=images [{"image": "i"}] default' cat "$WORK/images.log"
refuses "another image" 'image policy webhook backend denied one or more images: no bad ones' \
  make_pod bad '{"initContainers": [{"name": "b", "image": "bad"}]}'

serve --disable-admission-plugins PodSecurity,CertificateApproval
check "what is off does not refuse" make_pod host3 "$HOST"
serve --enable-admission-plugins AlwaysDeny
refuses "everything" 'admission control is denying all modifications' k create configmap c
