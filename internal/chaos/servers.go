package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/skald-go/skald/internal/chaos/sagas"
	"github.com/skald-go/skald/internal/redisserver"
)

// servers are a topology of Redis, with the faults that suit it.
type servers interface {
	link() link
	data() []*redisserver.Server // those that store sagas
	faults() []fault
	heal(ctx context.Context) error // all servers run, and agree who is the master
	close() error
}

// topologies start servers by name.
var topologies = map[string]func(context.Context) (servers, error){
	"standalone": startStandalone, "sentinel": startSentinel, "cluster": startCluster,
}

// stores says how sagas are stored in a topology. Where a failover may come, a replica has to confirm.
var stores = map[string]store{
	"standalone": {Partitions: 2}, "sentinel": {Partitions: 1, Replicas: 1}, "cluster": {Partitions: clusterPartitions, Replicas: 1},
}

const clusterPartitions = 6

// aof makes a server lose nothing that it has acknowledged.
var aof = redisserver.Options{AOF: true}

const settleTime = time.Minute // for a failover, and for a server to start

func addrs(nodes []*redisserver.Server) []string {
	var addrs []string
	for _, n := range nodes {
		addrs = append(addrs, n.Addr)
	}
	return addrs
}

// tell runs a command on a server, past all proxies.
func tell(ctx context.Context, s *redisserver.Server, args ...any) error {
	opts := s.ClientOptions()
	opts.MaxRetries, opts.ReadTimeout = -1, 10*time.Second
	client := redis.NewClient(opts)
	defer client.Close()
	return client.Do(ctx, args...).Err()
}

// passing drops the errors of a server that another fault has hit: then this one has not happened, and is tried again.
func passing(ctx context.Context, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	var before error
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return errors.Join(err, before) // err may only say that the time is over
		}
		before = err
		sleep(ctx, 100*time.Millisecond)
	}
}

// serverFaults are those of a server that stays the master. pick gives the server.
func serverFaults(pick func(context.Context, *rand.Rand) (*redisserver.Server, error)) []fault {
	command := func(kind string, make func(*rand.Rand) (args []any, lasts time.Duration)) fault {
		return fault{kind, func(ctx context.Context, dice *rand.Rand) error {
			args, lasts := make(dice)
			err := passing(ctx, func(ctx context.Context) error {
				s, err := pick(ctx, dice)
				if err == nil {
					err = tell(ctx, s, args...)
				}
				return err
			})
			sleep(ctx, lasts)
			return err
		}}
	}
	return []fault{
		command("CLIENT KILL", func(dice *rand.Rand) ([]any, time.Duration) {
			kind := []string{"normal", "normal", "pubsub"}[dice.IntN(3)]
			return []any{"CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes"}, 0
		}),
		command("CLIENT PAUSE", func(dice *rand.Rand) ([]any, time.Duration) {
			d, mode := between(dice, 50*time.Millisecond, 2*time.Second), []string{"ALL", "WRITE"}[dice.IntN(2)]
			return []any{"CLIENT", "PAUSE", d.Milliseconds(), mode}, d
		}),
		command("DEBUG SLEEP", func(dice *rand.Rand) ([]any, time.Duration) {
			return []any{"DEBUG", "SLEEP", between(dice, 50*time.Millisecond, 2*time.Second).Seconds()}, 0
		}),
	}
}

// standalone is one server.
type standalone struct {
	server *redisserver.Server
	mu     sync.Mutex // of who restarts it
}

func startStandalone(ctx context.Context) (servers, error) {
	s, err := redisserver.Start(ctx, aof)
	if err != nil {
		return nil, err
	}
	return &standalone{server: s}, nil
}

func (s *standalone) link() link                     { return link{Addrs: []string{s.server.Addr}} }
func (s *standalone) data() []*redisserver.Server    { return []*redisserver.Server{s.server} }
func (s *standalone) heal(ctx context.Context) error { return nil }
func (s *standalone) close() error                   { return s.server.Close() }

func (s *standalone) faults() []fault {
	restart := fault{"kill -9 and restart of Redis", func(ctx context.Context, dice *rand.Rand) error {
		down := upTo(dice, 1500*time.Millisecond)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.server.Kill()
		sleep(ctx, down)
		return s.server.Restart(ctx)
	}}
	pick := func(context.Context, *rand.Rand) (*redisserver.Server, error) { return s.server, nil }
	return append(serverFaults(pick), restart)
}

// sentinel is a master with a replica, watched by three Sentinels. With more replicas than have to confirm a write, Sentinel might promote
// one that has not.
type sentinel struct {
	nodes     []*redisserver.Server
	sentinels *redisserver.Sentinels
	mu        sync.Mutex // of who changes the master
}

func startSentinel(ctx context.Context) (servers, error) {
	s := &sentinel{}
	master, err := redisserver.Start(ctx, aof)
	if err != nil {
		return nil, err
	}
	s.nodes = append(s.nodes, master)
	replica, err := redisserver.StartReplica(ctx, master, aof)
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	s.nodes = append(s.nodes, replica)
	if s.sentinels, err = redisserver.StartSentinels(ctx, 3, "skald", master); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *sentinel) link() link                  { return link{Addrs: s.sentinels.Addrs(), Master: s.sentinels.Name} }
func (s *sentinel) data() []*redisserver.Server { return s.nodes }

func (s *sentinel) close() error {
	var errs []error
	if s.sentinels != nil {
		errs = append(errs, s.sentinels.Close())
	}
	for _, n := range s.nodes {
		errs = append(errs, n.Close())
	}
	return errors.Join(errs...)
}

func (s *sentinel) master(ctx context.Context) (*redisserver.Server, error) {
	addr, err := s.sentinels.Master(ctx)
	for _, n := range s.nodes {
		if n.Addr == addr {
			return n, err
		}
	}
	return nil, errors.Join(err, fmt.Errorf("the Sentinels name %q, which is none of %v", addr, addrs(s.nodes)))
}

// heal waits until the others follow the master.
func (s *sentinel) heal(ctx context.Context) error {
	return passing(ctx, func(ctx context.Context) error {
		master, err := s.master(ctx)
		if err != nil {
			return err
		}
		for _, n := range s.nodes {
			if n != master {
				if err := follows(ctx, n, master); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func (s *sentinel) faults() []fault {
	changed := func(ctx context.Context, old *redisserver.Server) error {
		return passing(ctx, func(ctx context.Context) error {
			now, err := s.master(ctx)
			if err == nil && now == old {
				err = fmt.Errorf("%s is still the master", old.Addr)
			}
			return err
		})
	}
	locked := func(kind string, do func(ctx context.Context, dice *rand.Rand, master *redisserver.Server) error) fault {
		return fault{kind, func(ctx context.Context, dice *rand.Rand) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			if err := s.heal(ctx); err != nil {
				return err
			}
			master, err := s.master(ctx)
			if err == nil {
				err = do(ctx, dice, master)
			}
			return err
		}}
	}
	pick := func(ctx context.Context, _ *rand.Rand) (*redisserver.Server, error) { return s.master(ctx) }
	return append(serverFaults(pick),
		locked("kill -9 of the master", func(ctx context.Context, dice *rand.Rand, master *redisserver.Server) error {
			master.Kill()
			if err := changed(ctx, master); err != nil {
				return err
			}
			return master.Restart(ctx)
		}),
		locked("Sentinel failover", func(ctx context.Context, dice *rand.Rand, master *redisserver.Server) error {
			return passing(ctx, func(ctx context.Context) error { // Sentinel gives up when the replica does not answer in time
				err := s.sentinels.Failover(ctx)
				if err != nil {
					return err
				}
				ctx, cancel := context.WithTimeout(ctx, settleTime/4)
				defer cancel()
				return changed(ctx, master)
			})
		}),
	)
}

// follows says whether one server is a replica of the other, and has caught up.
func follows(ctx context.Context, replica, master *redisserver.Server) error {
	client := redis.NewClient(replica.ClientOptions())
	defer client.Close()
	r, err := client.InfoMap(ctx, "replication").Result()
	if err != nil {
		return err
	}
	info := r["Replication"]
	at := info["master_host"] + ":" + info["master_port"]
	if info["role"] != "slave" || at != master.Addr || info["master_link_status"] != "up" {
		return fmt.Errorf("%s is a %s of %s (%s), not yet a replica of %s", replica.Addr, info["role"], at, info["master_link_status"], master.Addr)
	}
	return nil
}

// cluster is three masters with a replica each.
type cluster struct {
	nodes *redisserver.Cluster
	mu    sync.Mutex // of who changes who serves what
}

func startCluster(ctx context.Context) (servers, error) {
	c, err := redisserver.StartCluster(ctx, 3, 1, aof)
	if err != nil {
		return nil, err
	}
	return &cluster{nodes: c}, nil
}

func (c *cluster) link() link                     { return link{Addrs: c.nodes.Addrs(), Nodes: true} }
func (c *cluster) data() []*redisserver.Server    { return c.nodes.Nodes }
func (c *cluster) heal(ctx context.Context) error { return passing(ctx, c.nodes.Ready) }
func (c *cluster) close() error                   { return c.nodes.Close() }

// key is one of a partition.
func (c *cluster) key(dice *rand.Rand) string {
	return fmt.Sprintf("{%s:%02d}:m", sagas.Shop, dice.IntN(c.partitions()))
}

func (c *cluster) partitions() int { return 1 }

func (c *cluster) faults() []fault {
	pick := func(ctx context.Context, dice *rand.Rand) (*redisserver.Server, error) {
		return c.nodes.MasterOf(ctx, c.key(dice))
	}
	locked := func(kind string, do func(ctx context.Context, dice *rand.Rand, master, replica *redisserver.Server) error) fault {
		return fault{kind, func(ctx context.Context, dice *rand.Rand) error {
			c.mu.Lock()
			defer c.mu.Unlock()
			master, replica, err := c.pair(ctx, dice)
			if err == nil {
				err = errors.Join(do(ctx, dice, master, replica), c.agreed(ctx, dice))
			}
			return err
		}}
	}
	return append(serverFaults(pick),
		locked("cluster failover", func(ctx context.Context, _ *rand.Rand, _, replica *redisserver.Server) error {
			return passing(ctx, func(ctx context.Context) error { // the replica gives up when its master does not answer in time
				ctx, cancel := context.WithTimeout(ctx, settleTime/8)
				defer cancel()
				return c.nodes.Failover(ctx, replica)
			})
		}),
		locked("kill -9 of a cluster's master", func(ctx context.Context, dice *rand.Rand, master, replica *redisserver.Server) error {
			master.Kill()
			err := passing(ctx, func(ctx context.Context) error { return promoted(ctx, replica) })
			return errors.Join(err, master.Restart(ctx))
		}),
		fault{"migration of a slot", func(ctx context.Context, dice *rand.Rand) error {
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.migrate(ctx, dice)
		}},
	)
}

// agreed waits until all nodes know who has what.
func (c *cluster) agreed(ctx context.Context, dice *rand.Rand) error {
	return passing(ctx, func(ctx context.Context) error {
		slot, err := c.nodes.SlotOf(ctx, c.key(dice))
		if err == nil {
			_, err = c.nodes.Agreed(ctx, slot)
		}
		return err
	})
}

// pair gives a master that serves sagas, and a replica that follows it.
func (c *cluster) pair(ctx context.Context, dice *rand.Rand) (master, replica *redisserver.Server, err error) {
	key := c.key(dice)
	err = passing(ctx, func(ctx context.Context) error {
		if err := c.nodes.Ready(ctx); err != nil {
			return err
		}
		var err error
		if master, err = c.nodes.MasterOf(ctx, key); err != nil {
			return err
		}
		replicas, err := c.nodes.ReplicasOf(ctx, master)
		if err != nil {
			return err
		}
		if len(replicas) == 0 {
			return fmt.Errorf("%s has no replica", master.Addr)
		}
		replica = replicas[dice.IntN(len(replicas))]
		return follows(ctx, replica, master)
	})
	return master, replica, err
}

func promoted(ctx context.Context, s *redisserver.Server) error {
	client := redis.NewClient(s.ClientOptions())
	defer client.Close()
	info, err := client.InfoMap(ctx, "replication").Result()
	if err == nil && info["Replication"]["role"] != "master" {
		err = fmt.Errorf("%s is no master yet", s.Addr)
	}
	return err
}

// migrate moves the slot of a partition to another master.
func (c *cluster) migrate(ctx context.Context, dice *rand.Rand) error {
	key := c.key(dice)
	slot, err := c.nodes.SlotOf(ctx, key)
	if err != nil {
		return err
	}
	var from *redisserver.Server
	err = passing(ctx, func(ctx context.Context) (err error) {
		if err = c.nodes.Ready(ctx); err == nil {
			from, err = c.nodes.MasterOf(ctx, key)
		}
		return err
	})
	if err != nil {
		return err
	}
	var others []*redisserver.Server
	for _, n := range c.nodes.Nodes {
		if n != from && promoted(ctx, n) == nil {
			others = append(others, n)
		}
	}
	if len(others) == 0 {
		return fmt.Errorf("there is no master beside %s", from.Addr)
	}
	to := others[dice.IntN(len(others))]
	return passing(ctx, func(ctx context.Context) error { return c.nodes.MigrateSlot(ctx, slot, to) })
}
