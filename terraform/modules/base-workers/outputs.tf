output "instance_ids" {
  description = "The machines by name."
  value       = { for name, instance in aws_instance.this : name => instance.id }
}
