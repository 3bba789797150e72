/** The files that `init` makes: small, valid, and with a word on what to write next. */

export const FIRST_FILES: Record<string, string> = {
  'foothold.yaml': `# The defaults of every command, and the control worker's configuration.
apiVersion: foothold/v1
kind: Project
fleet: fleet.yaml
strategies: strategies/
depot:
  write: depot/                       # foothold publish writes here
  read: http://127.0.0.1:8081/        # and the sites read it here: foothold depot serve depot/
prometheus: http://127.0.0.1:9090
registry: sqlite:registry.db
controlKey: control.key               # signs commands; never leaves this machine
`,
  'fleet.yaml': `# Every site, and what it inherits: defaults, region, cluster, site; the later wins.
apiVersion: foothold/v1
kind: Fleet
defaults: { risk: high, link: cellular }
# groups:
#   region:
#     nordic: { vars: { workers: 2 } }
# sites:
#   - id: osl-01                      # never used again, not even after the site is retired
#     region: nordic
#     risk: low
#     link: fibre
#     streams: [edge-proxy]           # no other stream ever reaches it
#     vars: { listen: "10.4.1.20:8080" }
sites: []
`,
  'strategies/careful.yaml': `# One site, then the others in three steps; each step is judged by the gate before the next begins.
apiVersion: foothold/v1
kind: Strategy
name: careful
owner: on-call                        # named by every wait
defaults:
  gate: health
  soak: 10m
  concurrency: 10
  budget: { failed: 2%, owed: 20% }
stages:
  - { name: canary, take: 1, budget: { failed: 0, owed: 0 } }
  - { name: rest, waves: [10%, 50%, 100%] }
onFailure: revert-stage               # stay | revert-stage | revert-all
onInconclusive: { within: 4h, then: stay }
gates:
  health:
    metrics:
      - name: error-ratio
        window: 1m
        interval: 15s
        query: >-
          (sum(rate(http_requests_total{site=~"$sites",code=~"5.."}[$window])) or vector(0))
          / sum(rate(http_requests_total{site=~"$sites"}[$window]))
        pass: result < 0.01
`,
};
