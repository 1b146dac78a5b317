// Report keeps docs/CONFORMANCE.md: what became of each conformance test, and why it failed.
//
//	report LIST REASONS CONFORMANCE.md REPORT.json...
//
// LIST is what `e2e.test --list-conformance-tests` prints, REPORT.json what ginkgo writes. A test that no report has run
// keeps the line that it had. REASONS has lines of a regular expression, a tab and a phrase: the reason given for a failed
// test whose name or message matches. Where none does, it is the first line of the message.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"sort"
	"strings"
)

// result is what became of a test.
type result struct{ state, reason string }

// reason is a phrase for the failures that match.
type reason struct {
	pattern *regexp.Regexp
	phrase  string
}

// spec is what is read of ginkgo's report of one test.
type spec struct {
	ContainerHierarchyTexts []string
	LeafNodeText            string
	LeafNodeType            string
	State                   string
	Failure                 struct{ Message string }
}

func main() {
	if len(os.Args) < 4 {
		fail("usage: report LIST REASONS CONFORMANCE.md REPORT.json...")
	}
	tests := list(read(os.Args[1]))
	results := before(read(os.Args[3]))
	reasons := phrases(read(os.Args[2]))
	ran, failed := 0, 0
	for _, path := range os.Args[4:] {
		for name, found := range run(path, reasons) {
			results[name] = found
			ran++
			if found.state == "failed" {
				failed++
				fmt.Printf("failed: %s: %s\n", name, found.reason)
			}
		}
	}
	for _, name := range tests {
		if results[name].state == "" {
			results[name] = result{"not run", why(name, "", reasons)}
		}
	}
	if err := os.WriteFile(os.Args[3], []byte(page(tests, results)), 0o644); err != nil {
		fail(err.Error())
	}
	if ran == 0 {
		fail("no test ran")
	}
	fmt.Printf("%d tests ran, %d passed\n", ran, ran-failed)
	if failed > 0 {
		os.Exit(1)
	}
}

func fail(why string) {
	fmt.Fprintln(os.Stderr, "report:", why)
	os.Exit(2)
}

// read is the content of a file, empty when there is none.
func read(path string) string {
	content, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		fail(err.Error())
	}
	return string(content)
}

// list takes the names out of upstream's YAML; a name may go over several lines.
func list(yaml string) []string {
	var names []string
	var name []string
	take := func() {
		if name != nil {
			text := strings.Trim(strings.Join(name, " "), "'\"")
			names = append(names, strings.ReplaceAll(text, "''", "'"))
		}
		name = nil
	}
	lines := bufio.NewScanner(strings.NewReader(yaml))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		switch rest, found := strings.CutPrefix(line, "  codename: "); {
		case found:
			name = []string{rest}
		case name != nil && strings.HasPrefix(line, "    "):
			name = append(name, strings.TrimSpace(line))
		default:
			take()
		}
	}
	take()
	sort.Strings(names)
	return names
}

// phrases are the lines of REASONS.
func phrases(text string) []reason {
	var found []reason
	for _, line := range strings.Split(text, "\n") {
		if pattern, phrase, ok := strings.Cut(line, "\t"); ok && !strings.HasPrefix(line, "#") {
			found = append(found, reason{regexp.MustCompile(pattern), strings.TrimSpace(phrase)})
		}
	}
	return found
}

// before reads the results that the page has: rows of a result, a test and a reason.
func before(page string) map[string]result {
	results := map[string]result{}
	for _, line := range strings.Split(page, "\n") {
		cells := strings.Split(strings.Trim(line, "|"), " | ")
		if len(cells) == 3 && strings.HasPrefix(strings.TrimSpace(cells[1]), "[sig-") {
			results[strings.TrimSpace(cells[1])] = result{strings.TrimSpace(cells[0]), strings.TrimSpace(cells[2])}
		}
	}
	return results
}

// run reads the tests that a report has run.
func run(path string, reasons []reason) map[string]result {
	var reports []struct{ SpecReports []spec }
	if err := json.Unmarshal([]byte(read(path)), &reports); err != nil {
		fail(path + ": " + err.Error())
	}
	results := map[string]result{}
	for _, report := range reports {
		for _, test := range report.SpecReports {
			if test.LeafNodeType != "It" {
				continue
			}
			name := strings.Join(append(test.ContainerHierarchyTexts, test.LeafNodeText), " ")
			switch test.State {
			case "skipped", "pending":
			case "passed":
				results[name] = result{"passed", ""}
			default:
				results[name] = result{"failed", why(name, test.Failure.Message, reasons)}
			}
		}
	}
	return results
}

// why is the reason of a failure in a phrase.
func why(name, message string, reasons []reason) string {
	for _, known := range reasons {
		if known.pattern.MatchString(name) || known.pattern.MatchString(message) {
			return known.phrase
		}
	}
	first, _, _ := strings.Cut(strings.TrimSpace(message), "\n")
	if len(first) > 120 {
		first = first[:120] + "…"
	}
	return strings.ReplaceAll(first, "|", "/")
}

// page is the whole document.
func page(tests []string, results map[string]result) string {
	type count struct{ passed, failed, open int }
	counts, order, passed := map[string]*count{}, []string{}, 0
	sig := func(name string) string { return name[1:strings.Index(name, "]")] }
	for _, name := range tests {
		if counts[sig(name)] == nil {
			counts[sig(name)] = &count{}
			order = append(order, sig(name))
		}
		switch results[name].state {
		case "passed":
			counts[sig(name)].passed++
			passed++
		case "failed":
			counts[sig(name)].failed++
		default:
			counts[sig(name)].open++
		}
	}
	var out strings.Builder
	out.WriteString("# Conformance\n\nWhat became of each test of upstream's conformance suite, unmodified, on two nodes, the last time it ran: " +
		"`make conformance`, or a part of it with\n`FOCUS`. Written by `conformance/run.sh`.\n\n")
	fmt.Fprintf(&out, "**%d of %d pass.**\n\n| SIG | passed | failed | not run |\n|---|---|---|---|\n", passed, len(tests))
	for _, name := range order {
		fmt.Fprintf(&out, "| %s | %d | %d | %d |\n", name, counts[name].passed, counts[name].failed, counts[name].open)
	}
	last := ""
	for _, name := range tests {
		if sig(name) != last {
			last = sig(name)
			fmt.Fprintf(&out, "\n## %s\n\n| result | test | reason |\n|---|---|---|\n", last)
		}
		found := results[name]
		fmt.Fprintf(&out, "| %s | %s | %s |\n", found.state, name, found.reason)
	}
	return out.String()
}
