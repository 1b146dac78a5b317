package main

import (
	"encoding/json"
	"fmt"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	kjson "sigs.k8s.io/json"
)

// What kube-apiserver sets.
func init() { jsonpatch.AccumulatedCopySizeLimit = 3 * 1024 * 1024 }

// patch: json, merge or strategic; apiVersion, kind; an object and a patch -> "ok" and the object as it becomes, or "error"
// and why, or "panic", which kube-apiserver makes a 500.
func patch(arguments [][]byte) (answer [][]byte) {
	defer func() {
		if reason := recover(); reason != nil {
			answer = texts("panic", fmt.Sprint(reason))
		}
	}()
	patched, err := patched(string(arguments[0]), string(arguments[1]), string(arguments[2]), arguments[3], arguments[4])
	if err != nil {
		return texts("error", err.Error())
	}
	return texts("ok", string(patched))
}

func patched(form, apiVersion, kind string, object, patch []byte) ([]byte, error) {
	switch form {
	case "json":
		operations, err := jsonpatch.DecodePatch(patch)
		if err != nil {
			return nil, err
		}
		return operations.Apply(object)
	case "merge":
		return jsonpatch.MergePatch(object, patch)
	case "strategic":
		original, changes := map[string]any{}, map[string]any{}
		check(kjson.UnmarshalCaseSensitivePreserveInts(object, &original))
		if err := kjson.UnmarshalCaseSensitivePreserveInts(patch, &changes); err != nil {
			return nil, err
		}
		typed, err := scheme.New(schema.FromAPIVersionAndKind(apiVersion, kind))
		check(err)
		result, err := strategicpatch.StrategicMergeMapPatch(original, changes, typed)
		if err != nil {
			return nil, err
		}
		return json.Marshal(result)
	}
	panic("no such form of a patch: " + form)
}

// strategicDifference: apiVersion, kind, an object as it is and as it shall be -> the strategic patch that kubectl makes of
// them, then the answer of patch.
func strategicDifference(arguments [][]byte) [][]byte {
	typed, err := scheme.New(schema.FromAPIVersionAndKind(string(arguments[0]), string(arguments[1])))
	check(err)
	difference, err := strategicpatch.CreateTwoWayMergePatch(arguments[2], arguments[3], typed)
	if err != nil {
		return texts("", "error", err.Error())
	}
	return append([][]byte{difference}, patch([][]byte{[]byte("strategic"), arguments[0], arguments[1], arguments[2], difference})...)
}
