package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apiserver/pkg/endpoints/openapi"
	"k8s.io/kube-openapi/pkg/builder3"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/validation/spec"
	generated "k8s.io/kubernetes/pkg/generated/openapi"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// start stands for the time of the first write; each later one is a second later.
var start = time.Date(2001, 1, 2, 3, 4, 0, 0, time.UTC)

// plain has no defaults: the kinds that are served get theirs from code that is not under test here.
type plain struct{}

func (plain) Default(runtime.Object) {}

// types knows how apply treats every kind, from the OpenAPI that kube-apiserver makes for itself.
var types = sync.OnceValue(func() managedfields.TypeConverter {
	ref := func(path string) spec.Ref { return spec.MustCreateRef(path) }
	definitions := generated.GetOpenAPIDefinitions(ref)
	namer := openapi.NewDefinitionNamer(scheme)
	names := make([]string, 0, len(definitions))
	for name := range definitions {
		// What is served; the configurations of components are not.
		if strings.HasPrefix(name, "io.k8s.api.") || strings.HasPrefix(name, "io.k8s.apiextensions-apiserver.") ||
			strings.HasPrefix(name, "io.k8s.kube-aggregator.") {
			names = append(names, name)
		}
	}
	models, err := builder3.BuildOpenAPIDefinitionsForResources(&common.OpenAPIV3Config{
		GetDefinitions:    generated.GetOpenAPIDefinitions,
		GetDefinitionName: namer.GetDefinitionName,
	}, names...)
	check(err)
	converter, err := managedfields.NewTypeConverter(models, false)
	check(err)
	return converter
})

// managed: apiVersion, kind, subresource, the fields that writes do not set (joined by commas, their steps by points), then
// for each write: update or apply, the manager, whether it is forced, the body -> for each write: "ok" and the object, or
// "conflict", the message and the causes, or "error" and why; a write that fails changes nothing.
func managed(arguments [][]byte) [][]byte {
	gvk := schema.FromAPIVersionAndKind(string(arguments[0]), string(arguments[1]))
	var ignored []fieldpath.Path
	for _, path := range strings.FieldsFunc(string(arguments[3]), func(c rune) bool { return c == ',' }) {
		var steps []any
		for _, step := range strings.Split(path, ".") {
			steps = append(steps, step)
		}
		ignored = append(ignored, fieldpath.MakePathOrDie(steps...))
	}
	reset := map[fieldpath.APIVersion]fieldpath.Filter{
		fieldpath.APIVersion(gvk.GroupVersion().String()): fieldpath.NewExcludeSetFilter(fieldpath.NewSet(ignored...)),
	}
	manager, err := managedfields.NewDefaultFieldManager(
		types(), scheme, plain{}, scheme, gvk, gvk.GroupVersion(), string(arguments[2]), reset)
	check(err)
	live, err := scheme.New(gvk)
	check(err)
	live.GetObjectKind().SetGroupVersionKind(gvk)
	var answer [][]byte
	now := start
	for rest := arguments[4:]; len(rest) > 0; rest = rest[4:] {
		next, err := write(manager, gvk, live, string(rest[0]), string(rest[1]), len(rest[2]) > 0, rest[3])
		if err == nil {
			store(next, gvk, now)
		}
		now = now.Add(time.Second)
		var status apierrors.APIStatus
		switch {
		case err == nil:
			// As it is read again: empty lists within lists that are owned as a whole are otherwise told from none.
			text := encode(asJSON, next)
			live, _, err = asJSON.Decode(text, nil, nil)
			check(err)
			answer = append(answer, []byte("ok"), text)
		case errors.As(err, &status) && status.Status().Code == 409:
			answer = append(answer, []byte("conflict"), conflictText(status.Status()))
		default:
			answer = append(answer, []byte("error"), []byte(err.Error()))
		}
	}
	return answer
}

// errBody is a body that is no object of its kind, which never gets so far.
var errBody = errors.New("no such object")

func write(manager *managedfields.FieldManager, gvk schema.GroupVersionKind, live runtime.Object, form, name string, force bool, body []byte) (next runtime.Object, err error) {
	defer func() {
		if reason := recover(); reason != nil {
			err = fmt.Errorf("panic: %v", reason)
		}
	}()
	before, err := meta.Accessor(live)
	check(err)
	if form == "apply" {
		config := &unstructured.Unstructured{Object: map[string]any{}}
		// What is read of YAML is JSON by now.
		if err := json.Unmarshal(body, &config.Object); err != nil {
			return nil, err
		}
		next, err = manager.Apply(live.DeepCopyObject(), config, name, force)
	} else {
		object, _, decodeErr := asJSON.Decode(body, nil, nil)
		if decodeErr != nil {
			return nil, errBody
		}
		after, accessorErr := meta.Accessor(object)
		check(accessorErr)
		after.SetUID(before.GetUID())
		next, err = manager.Update(live.DeepCopyObject(), object.DeepCopyObject(), name)
		if err != nil {
			// What cannot be reckoned is forgotten (UpdateNoErrors).
			after.SetManagedFields(nil)
			return object, nil
		}
	}
	return next, err
}

// store makes of an object what would be stored of it: of the kind, with an identity, and written at a known time.
func store(object runtime.Object, gvk schema.GroupVersionKind, now time.Time) {
	object.GetObjectKind().SetGroupVersionKind(gvk)
	stored, err := meta.Accessor(object)
	check(err)
	stored.SetUID("u")
	entries := stored.GetManagedFields()
	for i := range entries {
		if entries[i].Time != nil && entries[i].Time.After(start.Add(time.Hour)) {
			entries[i].Time = &metav1.Time{Time: now}
		}
	}
	stored.SetManagedFields(entries)
}

// conflictText is the message and the causes, in an order that does not depend on chance.
func conflictText(status metav1.Status) []byte {
	var lines []string
	for _, cause := range status.Details.Causes {
		lines = append(lines, fmt.Sprintf("%s %s %s", cause.Type, cause.Field, cause.Message))
	}
	sort.Strings(lines)
	text, err := json.Marshal(append([]string{status.Message}, lines...))
	check(err)
	return bytes.TrimSpace(text)
}
