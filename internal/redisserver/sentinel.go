package redisserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"

	"github.com/redis/go-redis/v9"
)

// Sentinels watch a master and promote a replica when it is down for a second. Its methods may be called concurrently.
type Sentinels struct {
	// Name is that of the master.
	Name string
	// Nodes are the processes.
	Nodes []*Server
}

// StartSentinels starts n Sentinels that watch master under a name, and returns when they know each other and the replicas that master
// has. More than half of them decide that it is down.
func StartSentinels(ctx context.Context, n int, name string, master *Server) (*Sentinels, error) {
	host, port, err := net.SplitHostPort(master.Addr)
	if err != nil {
		return nil, fmt.Errorf("redisserver: start Sentinels of %s: %w", master.Addr, err)
	}
	settings := []string{
		fmt.Sprintf("sentinel monitor %s %s %s %d", name, host, port, n/2+1),
		fmt.Sprintf("sentinel down-after-milliseconds %s 1000", name),
		fmt.Sprintf("sentinel failover-timeout %s 5000", name),
	}
	if master.opts.Password != "" {
		settings = append(settings, fmt.Sprintf("sentinel auth-pass %s %s", name, master.opts.Password))
	}
	s := &Sentinels{Name: name}
	for range n {
		node, err := launch(ctx, &Server{opts: Options{TLS: master.opts.TLS}, settings: settings, sentinel: true})
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		s.Nodes = append(s.Nodes, node)
		if err := node.hasten(ctx); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	if err := s.meet(ctx, master); err != nil {
		return nil, errors.Join(fmt.Errorf("redisserver: wait for the Sentinels of %s to find each other: %w", master.Addr, err), s.Close())
	}
	return s, nil
}

// hasten makes a Sentinel look at servers and talk with the others more often, so that they find what has changed in a second rather than ten.
func (s *Server) hasten(ctx context.Context) error {
	err := s.with(func(client *redis.Client) error {
		return client.Do(ctx, "SENTINEL", "DEBUG", "info-period", 1000, "publish-period", 500).Err()
	})
	if err != nil {
		return fmt.Errorf("redisserver: set how often the Sentinel on %s looks: %w", s.Addr, err)
	}
	return nil
}

// meet waits until every Sentinel knows the others and the replicas of master.
func (s *Sentinels) meet(ctx context.Context, master *Server) error {
	var replicas string
	err := master.with(func(client *redis.Client) (err error) {
		replicas, err = info(ctx, client, "replication", "connected_slaves")
		return err
	})
	if err != nil {
		return err
	}
	for _, node := range s.Nodes {
		if err := until(ctx, node.process.ended(), func() error { return s.knows(ctx, node, replicas) }); err != nil {
			return fmt.Errorf("%w\nlog of the Sentinel on %s:\n%s", err, node.Addr, node.Log())
		}
	}
	return nil
}

func (s *Sentinels) knows(ctx context.Context, node *Server, replicas string) error {
	client := redis.NewSentinelClient(node.ClientOptions())
	defer client.Close()
	state, err := client.Master(ctx, s.Name).Result()
	if err != nil {
		return err
	}
	others := strconv.Itoa(len(s.Nodes) - 1)
	if state["num-other-sentinels"] != others || state["num-slaves"] != replicas {
		return fmt.Errorf("%s knows %s of %s other Sentinels and %s of %s replicas",
			node.Addr, state["num-other-sentinels"], others, state["num-slaves"], replicas)
	}
	return nil
}

// Addrs are the addresses of the Sentinels.
func (s *Sentinels) Addrs() []string { return addrsOf(s.Nodes) }

// Master is the address of the master that all Sentinels name. While they disagree, as in a failover, it is an error.
func (s *Sentinels) Master(ctx context.Context) (string, error) {
	var master string
	for _, node := range s.Nodes {
		named, err := s.masterOf(ctx, node)
		if err != nil {
			return "", fmt.Errorf("redisserver: ask the Sentinel on %s for the master %s: %w", node.Addr, s.Name, err)
		}
		if master != "" && master != named {
			return "", fmt.Errorf("redisserver: the Sentinels disagree upon the master %s: %s or %s", s.Name, master, named)
		}
		master = named
	}
	return master, nil
}

func (s *Sentinels) masterOf(ctx context.Context, node *Server) (string, error) {
	client := redis.NewSentinelClient(node.ClientOptions())
	defer client.Close()
	at, err := client.GetMasterAddrByName(ctx, s.Name).Result()
	if err != nil {
		return "", err
	}
	return net.JoinHostPort(at[0], at[1]), nil
}

// Failover asks the first Sentinel to promote a replica although the master lives. It returns when that has begun.
func (s *Sentinels) Failover(ctx context.Context) error {
	client := redis.NewSentinelClient(s.Nodes[0].ClientOptions())
	defer client.Close()
	if err := client.Failover(ctx, s.Name).Err(); err != nil {
		return fmt.Errorf("redisserver: ask the Sentinel on %s for a failover of %s: %w", s.Nodes[0].Addr, s.Name, err)
	}
	return nil
}

// Close kills the Sentinels, and not the servers that they watch. It may be called twice.
func (s *Sentinels) Close() error { return closeAll(s.Nodes) }

func addrsOf(nodes []*Server) []string {
	addrs := make([]string, len(nodes))
	for i, node := range nodes {
		addrs[i] = node.Addr
	}
	return addrs
}

func closeAll(nodes []*Server) error {
	var errs []error
	for _, node := range nodes {
		errs = append(errs, node.Close())
	}
	return errors.Join(errs...)
}
