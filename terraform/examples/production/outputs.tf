output "agent_yaml" {
  description = "/etc/joinery/agent.yaml."
  value       = module.cluster.agent_yaml
}

output "manifests_yaml" {
  description = "EC2NodeClass and NodePool: terraform output -raw manifests_yaml | kubectl apply -f -"
  value       = module.cluster.manifests_yaml
}

output "endpoint" {
  description = "host:port of the API server, inside the VPC."
  value       = module.cluster.endpoint
}

output "control_plane_instance_ids" {
  description = "The control plane's machines."
  value       = module.cluster.control_plane_instance_ids
}

output "base_worker_instance_ids" {
  description = "The fixed workers by name."
  value       = module.cluster.base_worker_instance_ids
}
