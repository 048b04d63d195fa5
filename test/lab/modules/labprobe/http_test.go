package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestHTTPCountsWhoAnswered(t *testing.T) {
	var count atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch count.Add(1) % 4 {
		case 0:
			http.Error(w, "dns-7", http.StatusNotFound) // such as CoreDNS behind a stale host port
		case 1:
			http.Error(w, "web-1", http.StatusServiceUnavailable)
		default:
			fmt.Fprintln(w, "web-1")
		}
	}))
	defer server.Close()
	s := running(t, spec{Kind: "http", To: server.Listener.Addr().String(), PerSecond: 100, ExpectPrefix: "web-"})
	eventually(t, "40 answers", func() bool { return s.snapshot().Sent >= 40 })

	got := finish(s)

	if got.Sent != int(count.Load()) || got.Answers["web-1"]+got.Answers["dns-7"] != got.Sent {
		t.Errorf("counted %+v of %d", got, count.Load())
	}
	if got.Wrong != got.Answers["dns-7"] || got.Wrong != got.Sent/4 || got.Lost != got.Wrong+(got.Sent+3)/4 {
		t.Errorf("counted %+v", got)
	}
}

func TestHTTPFailures(t *testing.T) {
	answer := func(handler http.HandlerFunc) string {
		server := httptest.NewServer(handler)
		t.Cleanup(server.Close)
		return server.Listener.Addr().String()
	}
	slow := answer(func(http.ResponseWriter, *http.Request) { time.Sleep(400 * time.Millisecond) })
	redirect := answer(http.RedirectHandler("/elsewhere", http.StatusFound).ServeHTTP)
	for _, c := range []struct{ name, to, prefix, want string }{
		{"refused", closedPort(t), "", "connect: connection refused"},
		{"slow", slow, "", notAnswered},
		{"redirect", redirect, "", "answered with status 302"},
		{"misrouted", redirect, "web-", "answered by"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := tryHTTP(spec{To: c.to, ExpectPrefix: c.prefix}, time.Now().Add(200*time.Millisecond))

			if err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("failed with %v, want %q", err, c.want)
			}
		})
	}
}

func TestHTTPKeepsTheBeginningOfALongAnswer(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, strings.Repeat("x", 1<<20))
	}))
	defer server.Close()

	answer, err := tryHTTP(spec{To: server.Listener.Addr().String()}, time.Now().Add(5*time.Second))

	if err != nil || len(answer) != maxBody {
		t.Errorf("%d bytes, %v", len(answer), err)
	}
}
