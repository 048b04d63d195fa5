package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// api is a control API of its own.
func api(t *testing.T) (*registry, func(method, path, body string) (int, string)) {
	r, mux := &registry{}, http.NewServeMux()
	r.handle(mux)
	t.Cleanup(func() { r.stop("") })
	return r, func(method, path, body string) (int, string) {
		answer := httptest.NewRecorder()
		mux.ServeHTTP(answer, httptest.NewRequest(method, path, strings.NewReader(body)))
		return answer.Code, answer.Body.String()
	}
}

func decode[T any](t *testing.T, text string) (value T) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return value
}

func echoAddress(t *testing.T) string {
	return serveUDP(t, func(packet []byte, reply func([]byte)) { reply(packet) })
}

func TestStreamsAreStartedListedAndStopped(t *testing.T) {
	r, call := api(t)
	to := echoAddress(t)

	status, body := call("POST", "/streams", `{"name":"b","kind":"udp","to":"`+to+`","perSecond":100}`)
	if got := decode[snapshot](t, body); status != 201 || got.Name != "b" || got.PerSecond != 100 || got.Gaps == nil {
		t.Errorf("started: %d %s", status, body)
	}
	if status, body = call("POST", "/streams", `{"name":"a","kind":"udp","to":"`+to+`"}`); status != 201 {
		t.Errorf("started: %d %s", status, body)
	}
	eventually(t, "both have answers", func() bool {
		all := r.list()
		return all[0].OK > 0 && all[1].OK > 0
	})

	_, body = call("GET", "/streams", "")
	if all := decode[[]snapshot](t, body); len(all) != 2 || all[0].Name != "a" || all[0].PerSecond != 200 {
		t.Errorf("listed %s", body)
	}
	status, body = call("DELETE", "/streams/a", "")
	if last := decode[[]snapshot](t, body); status != 200 || len(last) != 1 || last[0].OK == 0 || last[0].Pending != 0 {
		t.Errorf("stopped: %d %s", status, body)
	}
	if status, _ = call("DELETE", "/streams/a", ""); status != 404 {
		t.Errorf("stopped again: %d", status)
	}
	if status, _ = call("DELETE", "/streams/", ""); status == 200 {
		t.Errorf("an empty name stopped all")
	}
	if _, body = call("DELETE", "/streams", ""); len(decode[[]snapshot](t, body)) != 1 {
		t.Errorf("stopped the rest: %s", body)
	}
	if _, body = call("GET", "/streams", ""); strings.TrimSpace(body) != "[]" {
		t.Errorf("still listed: %s", body)
	}
}

func TestAStreamReplacesTheOneOfItsName(t *testing.T) {
	r, call := api(t)
	to := echoAddress(t)
	call("POST", "/streams", `{"name":"a","kind":"udp","to":"`+to+`"}`)
	old := r.streams["a"]

	call("POST", "/streams", `{"name":"a","kind":"udp","to":"`+to+`","perSecond":7}`)

	<-old.done
	if all := r.list(); len(all) != 1 || all[0].PerSecond != 7 {
		t.Errorf("listed %+v", all)
	}
}

func TestBadInputIsRefusedInOneSentence(t *testing.T) {
	r, call := api(t)
	for _, c := range []struct{ body, want string }{
		{``, "the body is not a stream"},
		{`{"name":"a","rate":200}`, `unknown field \"rate\"`},
		{`{"name":"a","kind":"icmp","to":"10.0.0.1:9000"}`, "kind must be"},
		{`{"kind":"udp","to":"10.0.0.1:9000"}`, "name must be"},
		{`{"name":"a/b","kind":"udp","to":"10.0.0.1:9000"}`, "name must be"},
		{`{"name":"a","kind":"udp"}`, "to must be ip:port"},
		{`{"name":"a","kind":"udp","to":"web:80"}`, "to must be ip:port"},
		{`{"name":"a","kind":"udp","to":"10.0.0.1:0"}`, "to must be ip:port"},
		{`{"name":"a","kind":"udp","to":"10.0.0.1:9000","perSecond":-1}`, "perSecond must be"},
		{`{"name":"a","kind":"udp","to":"10.0.0.1:9000","perSecond":1001}`, "perSecond must be"},
		{`{"name":"a","kind":"udp","to":"10.0.0.1:9000","question":"x"}`, "question is needed for kind dns"},
		{`{"name":"a","kind":"dns","to":"10.0.0.1:53"}`, "question is needed for kind dns"},
		{`{"name":"a","kind":"dns","to":"10.0.0.1:53","question":"a..b"}`, "labels of 1 to 63"},
		{`{"name":"a","kind":"dns","to":"10.0.0.1:53","question":"` + strings.Repeat("a.", 200) + `"}`, "at most 253"},
		{`{"name":"a","kind":"tcp","to":"10.0.0.1:9001","expectPrefix":"web-"}`, "expectPrefix is for kind http"},
	} {
		status, body := call("POST", "/streams", c.body)

		if status != 400 || !strings.Contains(body, c.want) || decode[map[string]string](t, body)["error"] == "" {
			t.Errorf("%s was answered %d %s", c.body, status, body)
		}
	}
	if len(r.list()) != 0 {
		t.Error("something was started")
	}
}
