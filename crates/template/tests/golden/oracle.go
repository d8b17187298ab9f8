// Answers the templates of a golden file as Go does: `go run oracle.go text < language.tsv`.
//
// Reads lines of a quoted template and, after a tab, whatever stood there before; writes the template and what Go makes
// of it, quoted: its output, or `error: ` and the error. The data is that of src/golden.rs.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	htmltemplate "html/template"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"text/template"
	"time"
)

type KV map[string]string

func (kv KV) Names() []string {
	names := []string{}
	for _, name := range []string{"alertname", "instance", "job"} {
		if _, ok := kv[name]; ok {
			names = append(names, name)
		}
	}
	return names
}

func (kv KV) Remove(keys []string) KV {
	rest := KV{}
	for k, v := range kv {
		rest[k] = v
	}
	for _, k := range keys {
		delete(rest, k)
	}
	return rest
}

func (kv KV) String() string { return "KV(" + strings.Join(kv.Names(), ",") + ")" }

type Alert struct {
	Status   string    `json:"status"`
	Labels   KV        `json:"labels"`
	StartsAt time.Time `json:"startsAt"`
	Value    float64   `json:"value"`
}

type Alerts []Alert

func (as Alerts) Firing() []Alert {
	res := []Alert{}
	for _, a := range as {
		if a.Status == "firing" {
			res = append(res, a)
		}
	}
	return res
}

type Data struct {
	Receiver string            `json:"receiver"`
	Alerts   Alerts            `json:"alerts"`
	Labels   KV                `json:"labels"`
	Plain    map[string]string `json:"plain"`
	Any      map[string]any    `json:"any"`
	Empty    []string          `json:"empty"`
	List     []string          `json:"list"`
	Ints     []int             `json:"ints"`
	Int      int               `json:"int"`
	Float    float64           `json:"float"`
	Yes      bool              `json:"yes"`
	Text     string            `json:"text"`
	Evil     string            `json:"evil"`
	Wait     time.Duration     `json:"wait"`
}

func data() *Data {
	at := time.Date(2015, 6, 23, 13, 19, 44, 128000000, time.UTC)
	labels := KV{"alertname": "Down", "instance": "host-1:9090", "job": "node"}
	return &Data{
		Receiver: "team-x", Labels: labels,
		Alerts: Alerts{
			{"firing", labels, at, 1.5},
			{"resolved", KV{"alertname": "Up", "job": "db"}, at.Add(90 * time.Minute), 0},
		},
		Plain: map[string]string{"b": "2", "a": "1"},
		Any:   map[string]any{"x": 1, "s": "t", "nil": nil, "l": []any{1, "two"}},
		Empty: []string{}, List: []string{"a", "b", "c"}, Ints: []int{3, 1, 2},
		Int: 42, Float: 3.25, Yes: true, Text: "Hello, \"wörld\"\n", Evil: `<a href="x">O'Reilly & co+</a>`,
		Wait: 90*time.Minute + 30*time.Second + 5*time.Millisecond,
	}
}

var functions = template.FuncMap{
	"toUpper":     strings.ToUpper,
	"join":        func(sep string, s []string) string { return strings.Join(s, sep) },
	"match":       regexp.MatchString,
	"trimSpace":   strings.TrimSpace,
	"stringSlice": func(s ...string) []string { return s },
	"safeHtml":    func(s string) htmltemplate.HTML { return htmltemplate.HTML(s) },
	"safeUrl":     func(s string) htmltemplate.URL { return htmltemplate.URL(s) },
	"urlUnescape": url.QueryUnescape,
	"reReplaceAll": func(pattern, repl, text string) string {
		return regexp.MustCompile(pattern).ReplaceAllString(text, repl)
	},
	"date": func(layout string, t time.Time) string { return t.Format(layout) },
	"tz": func(name string, t time.Time) (time.Time, error) {
		loc, err := time.LoadLocation(name)
		if err != nil {
			return time.Time{}, err
		}
		return t.In(loc), nil
	},
	"mustToDate": func(layout, s string) (time.Time, error) { return time.ParseInLocation(layout, s, time.UTC) },
	"toJson": func(v any) (string, error) {
		b, err := json.Marshal(v)
		return string(b), err
	},
	"list": func(values ...any) []any {
		if values == nil {
			return []any{}
		}
		return values
	},
	"append": func(list []any, values ...any) []any { return append(list, values...) },
	"dict": func(values ...any) (map[string]any, error) {
		if len(values)%2 != 0 {
			return nil, fmt.Errorf("dict requires an even number of arguments")
		}
		m := map[string]any{}
		for i := 0; i < len(values); i += 2 {
			key, ok := values[i].(string)
			if !ok {
				return nil, fmt.Errorf("dict keys must be strings")
			}
			m[key] = values[i+1]
		}
		return m, nil
	},
}

func answer(text string, html bool) (result string) {
	defer func() {
		if r := recover(); r != nil {
			result = fmt.Sprintf("error: %v", r)
		}
	}()
	var out bytes.Buffer
	var err error
	if html {
		var t *htmltemplate.Template
		t, err = htmltemplate.New("t").Funcs(htmltemplate.FuncMap(functions)).Option("missingkey=zero").Parse(text)
		if err == nil {
			err = t.Execute(&out, data())
		}
	} else {
		var t *template.Template
		t, err = template.New("t").Funcs(functions).Option("missingkey=zero").Parse(text)
		if err == nil {
			err = t.Execute(&out, data())
		}
	}
	if err != nil {
		return "error: " + err.Error()
	}
	return out.String()
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		if line == "" || strings.HasPrefix(line, "#") {
			fmt.Println(line)
			continue
		}
		quoted, _, _ := strings.Cut(line, "\t")
		text, err := strconv.Unquote(quoted)
		if err != nil {
			panic(line)
		}
		fmt.Printf("%s\t%s\n", quoted, strconv.Quote(answer(text, len(os.Args) > 1 && os.Args[1] == "html")))
	}
}
