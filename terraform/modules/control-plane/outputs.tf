output "endpoint" {
  description = "host:port of the API server."
  value       = "${local.host}:6443"
}

output "instance_ids" {
  description = "The machines."
  value       = aws_instance.this[*].id
}

output "userdata" {
  description = "What the first machine runs, compressed and in base64."
  value       = local.userdata[0]
}
