package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
)

const maxRequest = 64 << 10 // bytes

// registry holds the streams by name. The zero value is ready.
type registry struct {
	mu      sync.Mutex
	streams map[string]*stream
}

// start replaces a stream of the same name: that one ends beside the new one, and its counters are dropped.
func (r *registry) start(s spec) *stream {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.streams == nil {
		r.streams = map[string]*stream{}
	}
	if old := r.streams[s.Name]; old != nil {
		old.cancel()
	}
	started := start(s)
	r.streams[s.Name] = started
	return started
}

// stop stops and forgets one stream, or all when the name is empty, and answers their last counters.
func (r *registry) stop(name string) []snapshot {
	r.mu.Lock()
	var stopped []*stream
	for each, s := range r.streams {
		if name == "" || name == each {
			s.cancel()
			stopped = append(stopped, s)
			delete(r.streams, each)
		}
	}
	r.mu.Unlock()
	over, cancel := context.WithTimeout(context.Background(), stopWithin) // for all of them together
	defer cancel()
	for _, s := range stopped {
		s.wait(over)
	}
	return snapshots(stopped)
}

func (r *registry) list() []snapshot {
	r.mu.Lock()
	var all []*stream
	for _, s := range r.streams {
		all = append(all, s)
	}
	r.mu.Unlock()
	return snapshots(all)
}

func snapshots(of []*stream) []snapshot {
	shots := []snapshot{}
	for _, s := range of {
		shots = append(shots, s.snapshot())
	}
	slices.SortFunc(shots, func(a, b snapshot) int { return strings.Compare(a.Name, b.Name) })
	return shots
}

// handle adds the control API to a server.
func (r *registry) handle(mux *http.ServeMux) {
	mux.HandleFunc("POST /streams", func(w http.ResponseWriter, request *http.Request) {
		var s spec
		body := json.NewDecoder(http.MaxBytesReader(w, request.Body, maxRequest))
		body.DisallowUnknownFields()
		if err := body.Decode(&s); err != nil {
			refuse(w, http.StatusBadRequest, fmt.Sprintf("the body is not a stream: %v", err))
			return
		}
		if err := s.check(); err != nil {
			refuse(w, http.StatusBadRequest, err.Error())
			return
		}
		reply(w, http.StatusCreated, r.start(s).snapshot())
	})
	mux.HandleFunc("GET /streams", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, r.list())
	})
	mux.HandleFunc("DELETE /streams", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, r.stop(""))
	})
	mux.HandleFunc("DELETE /streams/{name}", func(w http.ResponseWriter, request *http.Request) {
		name := request.PathValue("name")
		stopped := r.stop(name)
		if len(stopped) == 0 {
			refuse(w, http.StatusNotFound, fmt.Sprintf("no stream is called %q", name))
			return
		}
		reply(w, http.StatusOK, stopped)
	})
}

func refuse(w http.ResponseWriter, status int, sentence string) {
	reply(w, status, map[string]string{"error": sentence})
}

func reply(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // the client has gone: nobody to tell
}
