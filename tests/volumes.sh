# Persistent volumes: found, waited for, mounted, kept while they are used, and reclaimed. Part of cluster.sh, which has
# the cluster; its node is called one.

# Folders are deleted with their volumes only there.
FOLDER=$(mktemp -d /tmp/decapod-volume.XXXXXX)
mkdir "$WORK/local" "$WORK/scratch"

# volume NAME SIZE FIELD...: a volume, with more fields of its spec.
volume() {
  printf 'apiVersion: v1\nkind: PersistentVolume\nmetadata: {name: %s}\nspec:\n  capacity: {storage: %s}\n  accessModes: [ReadWriteOnce]\n' "$1" "$2"
  printf '  %s\n' "${@:3}"
  echo ---
}
claim_spec() { printf '{accessModes: [ReadWriteOnce], storageClassName: "%s", resources: {requests: {storage: %s}}}' "$1" "$2"; }
claim() { printf 'apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: %s}\nspec: %s\n---\n' "$1" "$(claim_spec "$2" "$3")"; }
near() { echo "nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [$1]}]}]}}"; }
# user NAME COMMAND VOLUME...: a pod with these volumes, each at the folder of its name.
user() {
  local name=$1 command=$2 one
  shift 2
  printf 'apiVersion: v1\nkind: Pod\nmetadata: {name: %s}\nspec:\n  restartPolicy: Never\n  terminationGracePeriodSeconds: 1\n  volumes:\n' "$name"
  printf '  - {%s}\n' "$@"
  printf "  containers:\n  - name: c\n    image: $BUSYBOX\n    command: [sh, -c, '%s']\n    volumeMounts:\n" "$command"
  for one; do
    one=${one#name: }
    printf '    - {name: %s, mountPath: /%s}\n' "${one%%,*}" "${one%%,*}"
  done
}

{
  printf 'apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {name: local}\nprovisioner: kubernetes.io/no-provisioner\nvolumeBindingMode: WaitForFirstConsumer\n---\n'
  volume elsewhere 1Gi "storageClassName: local" "local: {path: /nowhere}" "$(near two)"
  volume here 2Gi "storageClassName: local" "local: {path: $WORK/local}" "$(near one)"
  volume large 1Gi "hostPath: {path: $WORK/scratch}"
  volume shared 10Mi "persistentVolumeReclaimPolicy: Delete" "hostPath: {path: $FOLDER, type: Directory}"
  claim data local 1Gi
  claim shared "" 5Mi
} >"$WORK/volumes.yaml"
data='name: data, persistentVolumeClaim: {claimName: data}'
check "volumes and claims" k apply -f "$WORK/volumes.yaml"
check "the smallest volume is bound" k wait --for=jsonpath='{.status.phase}'=Bound pvc/shared pv/shared --timeout=10s
check "those that wait for a pod are free" k wait --for=jsonpath='{.status.phase}'=Available pv/here pv/elsewhere --timeout=10s
eventually 10 "their claim says so" bash -c "timeout 10 '$KUBECTL' events --for pvc/data | grep 'waiting for first consumer to be created before binding'"

user writer 'echo 1 >/data/a && echo 2 >/shared/b && echo 3 >/scratch/c' "$data" \
  'name: shared, persistentVolumeClaim: {claimName: shared}' \
  "name: scratch, ephemeral: {volumeClaimTemplate: {spec: $(claim_spec "" 1Mi)}}" >"$WORK/writer.yaml"
check "a pod that writes" k apply -f "$WORK/writer.yaml"
check "it has written" k wait --for=jsonpath='{.status.phase}'=Succeeded pod/writer --timeout=30s
expect "its claim got the volume within reach" here k get pvc data -o 'jsonpath={.spec.volumeName}'
expect "what it wrote is there" "1 2 3" bash -c "cat '$WORK/local/a' '$FOLDER/b' '$WORK/scratch/c' | xargs"
check "the pod goes" k delete pod writer
check "with the claim that was made for it" k wait --for=delete pvc/writer-scratch --timeout=20s

user reader 'trap exit TERM; touch /shared/no; cat /data/a; while true; do sleep 1; done' "$data" \
  'name: shared, persistentVolumeClaim: {claimName: shared, readOnly: true}' >"$WORK/reader.yaml"
check "a pod that reads" k apply -f "$WORK/reader.yaml"
check "it runs" k wait --for=condition=Ready pod/reader --timeout=30s
eventually 10 "it reads, and cannot write" bash -c "[ \"\$(timeout 10 '$KUBECTL' logs reader 2>&1 | grep -cE 'Read-only file system|^1$')\" = 2 ]"
check "a claim in use is deleted" k delete pvc shared data --wait=false
expect "but stays" "Terminating" k get pvc shared
check "until its pod is gone" k delete pod reader
check "then it goes" k wait --for=delete pvc/shared pvc/data --timeout=20s
check "a volume is kept" k wait --for=jsonpath='{.status.phase}'=Released pv/here --timeout=20s
check "or deleted" k wait --for=delete pv/shared --timeout=20s
[ ! -e "$FOLDER" ] || fail "the folder is still there"
check "volumes that are kept go when they are asked to" k delete pv here elsewhere large
