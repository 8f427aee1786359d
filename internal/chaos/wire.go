package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// wire is the proxies between one process and all servers. One fault at a time has it: lock it.
type wire struct {
	sync.Mutex
	proxies []*toxiproxy.Proxy
	via     map[string]string
}

// stretch puts a proxy in front of each server.
func stretch(servers []string) (*wire, error) {
	api := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	w := &wire{via: map[string]string{}}
	for _, addr := range servers {
		p := toxiproxy.NewProxy(api, addr, "127.0.0.1:0", addr)
		if err := p.Start(); err != nil {
			w.close()
			return nil, fmt.Errorf("put a proxy in front of %s: %w", addr, err)
		}
		w.proxies = append(w.proxies, p)
		w.via[addr] = p.Listen
	}
	return w, nil
}

func (w *wire) close() {
	for _, p := range w.proxies {
		p.Stop()
	}
}

// cut ends all connections, and takes none until mend.
func (w *wire) cut() { w.close() }

func (w *wire) mend() error {
	var errs []error
	for _, p := range w.proxies {
		if err := p.Start(); err != nil {
			errs = append(errs, fmt.Errorf("start the proxy of %s again: %w", p.Name, err))
		}
	}
	return errors.Join(errs...)
}

// poison puts a toxic on what the servers answer, and gives the function that takes it off.
func (w *wire) poison(kind, attributes string) (heal func() error, err error) {
	text := fmt.Sprintf(`{"name": "fault", "type": %q, "stream": "downstream", "attributes": %s}`, kind, attributes)
	heal = func() error {
		var errs []error
		for _, p := range w.proxies {
			if err := p.Toxics.RemoveToxic(context.Background(), "fault"); err != nil && !errors.Is(err, toxiproxy.ErrToxicNotFound) {
				errs = append(errs, fmt.Errorf("take %s off the proxy of %s: %w", kind, p.Name, err))
			}
		}
		return errors.Join(errs...)
	}
	for _, p := range w.proxies {
		if _, err := p.Toxics.AddToxicJson(strings.NewReader(text)); err != nil {
			return heal, errors.Join(fmt.Errorf("put %s on the proxy of %s: %w", kind, p.Name, err), heal())
		}
	}
	return heal, nil
}
