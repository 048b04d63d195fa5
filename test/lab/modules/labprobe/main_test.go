package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

func TestCommandLine(t *testing.T) {
	for _, c := range []struct {
		args string
		want addresses
		bad  bool
	}{
		{"serve", addresses{":9000", ":9001", ":8080"}, false},
		{"serve --udp :1 --tcp :2 --http :3", addresses{":1", ":2", ":3"}, false},
		{"control", addresses{http: "127.0.0.1:7070"}, false},
		{"control --listen 127.0.0.1:1", addresses{http: "127.0.0.1:1"}, false},
		{"", addresses{}, true},
		{"measure", addresses{}, true},
		{"control --udp :1", addresses{}, true},
		{"serve now", addresses{}, true},
	} {
		var said bytes.Buffer

		got, err := parse(strings.Fields(c.args), &said)

		if errors.Is(err, errUsage) != c.bad || (!c.bad && got != c.want) || c.bad != (said.Len() > 0) {
			t.Errorf("%q: %+v, %v, said %q", c.args, got, err, said.String())
		}
	}
}

func TestServeAnswersUntilItIsTold(t *testing.T) {
	p, err := listen(addresses{"127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.run(ctx) }()
	base := "http://" + p.http.Addr().String()
	client := http.Client{Timeout: 10 * time.Second}
	get := func(path string) string {
		answer, err := client.Get(base + path)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, _ := io.ReadAll(answer.Body)
		return strings.TrimSpace(string(body))
	}

	host, _ := os.Hostname()
	if got := get("/"); got != host {
		t.Errorf("/ answered %q", got)
	}
	if got := get("/source"); !strings.HasPrefix(got, "127.0.0.1:") {
		t.Errorf("/source answered %q", got)
	}
	for kind, to := range map[string]string{
		"udp": p.udp.LocalAddr().String(), "tcp": p.tcp.Addr().String(),
		"connection": p.tcp.Addr().String(), "http": p.http.Addr().String(),
	} {
		body := fmt.Sprintf(`{"name":%q,"kind":%q,"to":%q}`, kind, kind, to)
		answer, err := client.Post(base+"/streams", "application/json", strings.NewReader(body))
		if err != nil || answer.StatusCode != http.StatusCreated {
			t.Fatal(answer, err)
		}
		answer.Body.Close()
	}
	eventually(t, "every kind has answers", func() bool {
		least := 100
		for _, s := range p.streams.list() {
			least = min(least, s.OK)
		}
		return least >= 5
	})

	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := client.Get(base + "/"); err == nil {
		t.Error("it still answers")
	}
}

func TestAPortThatIsTakenIsToldAtOnce(t *testing.T) {
	taken := listenTCP(t)

	if err := run(t.Context(), []string{"control", "--listen", taken.Addr().String()}, io.Discard); err == nil {
		t.Error("started on a port that is taken")
	}
}
