package main

import (
	"encoding/json"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

var evaluator = func() policy.Evaluator {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	check(err)
	return evaluator
}()

// podSecurity: a level, a version and a pod as JSON -> the reason and the detail of each rule that it breaks; or "error" and
// why there is no such level, version or pod.
func podSecurity(arguments [][]byte) [][]byte {
	level, err := api.ParseLevel(string(arguments[0]))
	if err != nil {
		return texts("error", err.Error())
	}
	version, err := api.ParseVersion(string(arguments[1]))
	if err != nil {
		return texts("error", err.Error())
	}
	var pod corev1.Pod
	if err := json.Unmarshal(arguments[2], &pod); err != nil {
		return texts("error", "no pod")
	}
	var answer []string
	for _, result := range evaluator.EvaluatePod(api.LevelVersion{Level: level, Version: version}, &pod.ObjectMeta, &pod.Spec) {
		if !result.Allowed {
			answer = append(answer, result.ForbiddenReason, result.ForbiddenDetail)
		}
	}
	return texts(answer...)
}
