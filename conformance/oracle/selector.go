package main

import (
	"encoding/json"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
)

// labelSelector: a selector's text and labels as JSON -> "error" and why; or "ok", the selector's own text, whether it
// selects the labels.
func labelSelector(arguments [][]byte) [][]byte {
	selector, err := labels.Parse(string(arguments[0]))
	return selected(selector, err, arguments[1])
}

// labelSelectorField is the same with a LabelSelector as JSON.
func labelSelectorField(arguments [][]byte) [][]byte {
	var field metav1.LabelSelector
	check(json.Unmarshal(arguments[0], &field))
	selector, err := metav1.LabelSelectorAsSelector(&field)
	return selected(selector, err, arguments[1])
}

func selected(selector labels.Selector, err error, set []byte) [][]byte {
	if err != nil {
		return texts("error", err.Error())
	}
	return texts("ok", selector.String(), strconv.FormatBool(selector.Matches(labels.Set(stringMap(set)))))
}

// fieldSelector: a selector's text and fields as JSON -> the same.
func fieldSelector(arguments [][]byte) [][]byte {
	selector, err := fields.ParseSelector(string(arguments[0]))
	if err != nil {
		return texts("error", err.Error())
	}
	return texts("ok", selector.String(), strconv.FormatBool(selector.Matches(fields.Set(stringMap(arguments[1])))))
}

func stringMap(text []byte) map[string]string {
	var values map[string]string
	check(json.Unmarshal(text, &values))
	return values
}
