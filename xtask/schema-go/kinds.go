package main

import (
	"reflect"
	"regexp"
	"sort"

	admissionv1 "k8s.io/api/admission/v1"
	apidiscoveryv2 "k8s.io/api/apidiscovery/v2"
	apidiscoveryv2beta1 "k8s.io/api/apidiscovery/v2beta1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
)

// A groupVersion and its kinds, sorted by name.
type groupVersion struct {
	schema.GroupVersion
	served bool
	kinds  []kind
}

type kind struct {
	name string
	typ  reflect.Type
	list bool
}

var stable = regexp.MustCompile(`^v[0-9]+$`)

// groupVersions lists what upstream's kube-apiserver serves by default (every stable version; see
// k8s.io/kubernetes/pkg/controlplane.DefaultAPIResourceConfigSource), then what it speaks without serving it.
func groupVersions() []groupVersion {
	served := runtime.NewScheme()
	must(clientscheme.AddToScheme(served))
	must(apiextensionsv1.AddToScheme(served))
	must(apiregistrationv1.AddToScheme(served))
	var all []groupVersion
	for _, gv := range served.PrioritizedVersionsAllGroups() {
		if stable.MatchString(gv.Version) && gv.Group != "__internal" {
			all = append(all, groupVersion{gv, true, kinds(served, gv)})
		}
	}
	spoken := runtime.NewScheme()
	must(admissionv1.AddToScheme(spoken))
	must(apidiscoveryv2.AddToScheme(spoken))
	must(apidiscoveryv2beta1.AddToScheme(spoken))
	must(auditv1.AddToScheme(spoken))
	for _, gv := range spoken.PrioritizedVersionsAllGroups() {
		if gv != (schema.GroupVersion{Version: "v1"}) {
			all = append(all, groupVersion{gv, false, kinds(spoken, gv)})
		}
	}
	all = append(all, groupVersion{metav1.SchemeGroupVersion, false, metaKinds()})
	sort.SliceStable(all, func(i, j int) bool {
		a, b := all[i], all[j]
		if a.served != b.served {
			return a.served
		}
		return a.String() < b.String()
	})
	return all
}

// kinds leaves out the options and events of meta/v1 that upstream registers again in every group.
func kinds(scheme *runtime.Scheme, gv schema.GroupVersion) []kind {
	var found []kind
	for name, typ := range scheme.KnownTypes(gv) {
		if typ.PkgPath() != reflect.TypeFor[metav1.ObjectMeta]().PkgPath() {
			found = append(found, newKind(name, typ))
		}
	}
	sort.Slice(found, func(i, j int) bool { return found[i].name < found[j].name })
	return found
}

func metaKinds() []kind {
	types := []reflect.Type{
		reflect.TypeFor[metav1.APIGroup](),
		reflect.TypeFor[metav1.APIGroupList](),
		reflect.TypeFor[metav1.APIResourceList](),
		reflect.TypeFor[metav1.APIVersions](),
		reflect.TypeFor[metav1.CreateOptions](),
		reflect.TypeFor[metav1.DeleteOptions](),
		reflect.TypeFor[metav1.GetOptions](),
		reflect.TypeFor[metav1.ListOptions](),
		reflect.TypeFor[metav1.PartialObjectMetadata](),
		reflect.TypeFor[metav1.PartialObjectMetadataList](),
		reflect.TypeFor[metav1.PatchOptions](),
		reflect.TypeFor[metav1.Status](),
		reflect.TypeFor[metav1.Table](),
		reflect.TypeFor[metav1.TableOptions](),
		reflect.TypeFor[metav1.UpdateOptions](),
		reflect.TypeFor[metav1.WatchEvent](),
	}
	var found []kind
	for _, typ := range types {
		found = append(found, newKind(typ.Name(), typ))
	}
	return found
}

func newKind(name string, typ reflect.Type) kind {
	meta, hasMeta := typ.FieldByName("ListMeta")
	items, hasItems := typ.FieldByName("Items")
	list := hasMeta && hasItems && meta.Type == reflect.TypeFor[metav1.ListMeta]() && items.Type.Kind() == reflect.Slice
	return kind{name, typ, list}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
